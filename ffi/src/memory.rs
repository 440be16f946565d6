//! Reading and writing the caller's memory. All pointers of the interface go through here.

use std::ffi::{CStr, c_char};

use ssmwire::{Error, Result};

/// A struct of the interface whose first field is its size as the caller knows it. What callers fill in has no field for
/// which some bytes are no value, such as a `bool`.
pub(crate) trait Versioned: Copy {
    /// Sets the first field.
    fn set_size(&mut self, size: usize);
}

/// Makes a struct of the interface [`Versioned`].
macro_rules! versioned {
    ($($name:ty),*) => {$(
        impl crate::memory::Versioned for $name {
            fn set_size(&mut self, size: usize) {
                self.size = size;
            }
        }
    )*};
}
pub(crate) use versioned;

/// Returns a struct of zeros, which stand for every default.
pub(crate) fn zeroed<T: Versioned>() -> T {
    // SAFETY: what is `Versioned` here is `repr(C)` and made of integers, booleans, pointers and optional functions only,
    // for all of which zeros are a value.
    unsafe { std::mem::zeroed() }
}

/// The most bytes that a later version of a struct may have more than this one; a larger size is no size.
const GROWTH_MAX: usize = 4096;

/// Copies the caller's options, as many bytes as both know; the rest is zero.
///
/// # Errors
/// Null, a size that can't be, and options of a later version that this one would have to leave out.
///
/// # Safety
/// `options` is null or points to a struct of the size that its first field says.
pub(crate) unsafe fn take<T: Versioned>(options: *const T, name: &str) -> Result<T> {
    if options.is_null() {
        return Err(Error::invalid_argument(name, "is null"));
    }
    let mut copy: T = zeroed();
    // SAFETY: not null; the first field is there in every version of the struct, whatever its alignment.
    let size = unsafe { options.cast::<usize>().read_unaligned() };
    // Every version ends with a whole field, and a struct is as large as its alignment asks for.
    if size < size_of::<usize>() || size > size_of::<T>() + GROWTH_MAX || !size.is_multiple_of(align_of::<T>()) {
        return Err(Error::invalid_argument(name, "has no size; begin with the struct's _INIT"));
    }
    let unknown = size.saturating_sub(size_of::<T>());
    // SAFETY: the struct is so large, and a byte may be looked at whatever it is part of.
    let later = unsafe { std::slice::from_raw_parts(options.cast::<u8>().wrapping_add(size - unknown), unknown) };
    if later.iter().any(|byte| *byte != 0) {
        return Err(Error::invalid_argument(name, "asks for something that this version of the library does not have"));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: so many bytes are the caller's, and so many fit.
    unsafe { std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut copy).cast::<u8>(), known) };
    Ok(copy)
}

/// Fills in the caller's struct, as much of it as he knows. A null one is left alone.
///
/// # Safety
/// `target` is null or points to a struct of the size that its first field says.
pub(crate) unsafe fn put<T: Versioned>(target: *mut T, mut value: T) {
    if target.is_null() {
        return;
    }
    // SAFETY: not null; the first field is there in every version of the struct.
    let size = unsafe { target.cast::<usize>().read_unaligned() };
    value.set_size(size);
    let known = size.min(size_of::<T>());
    // SAFETY: so many bytes are the caller's, and so many are here.
    unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), target.cast::<u8>(), known) };
}

/// Writes one value for the caller.
///
/// # Safety
/// `target` is null or the caller's, to write.
pub(crate) unsafe fn set<T>(target: *mut T, value: T) {
    if !target.is_null() {
        // SAFETY: not null.
        unsafe { target.write_unaligned(value) };
    }
}

/// Fails unless there is a place for the result.
pub(crate) fn need<T>(target: *mut T, name: &str) -> Result<()> {
    match target.is_null() {
        true => Err(Error::invalid_argument(name, "is null")),
        false => Ok(()),
    }
}

/// Fails unless there is a struct for the result that says how large it is.
///
/// # Safety
/// `target` is null or points to a struct that begins with its size.
pub(crate) unsafe fn need_sized<T: Versioned>(target: *mut T, name: &str) -> Result<()> {
    need(target, name)?;
    // SAFETY: not null; the first field is there in every version of the struct.
    match unsafe { target.cast::<usize>().read_unaligned() } < size_of::<usize>() {
        true => Err(Error::invalid_argument(name, "has no size; begin with the struct's _INIT")),
        false => Ok(()),
    }
}

/// Borrows a text of the caller; `None` for null.
///
/// # Safety
/// `text` is null or ends with a zero byte, and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Error::invalid_argument(name, "is not UTF-8"))
}

/// Borrows a text that has to be there.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn needed_text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { text(pointer, name) }?.ok_or_else(|| Error::invalid_argument(name, "is null"))
}

/// Borrows an array of the caller.
///
/// # Safety
/// `pointer` is null or points to `len` values that stay as they are for `'a`.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::invalid_argument(name, "is null"));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) || !pointer.is_aligned() {
        return Err(Error::invalid_argument(name, "is no array"));
    }
    // SAFETY: not null, aligned, not larger than memory can be; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// Borrows an array of the caller to write to.
///
/// # Safety
/// `pointer` is null or points to room for `len` values that is nobody else's for `'a`.
pub(crate) unsafe fn room<'a, T>(pointer: *mut T, len: usize, name: &str) -> Result<&'a mut [T]> {
    if pointer.is_null() {
        return Err(Error::invalid_argument(name, "is null"));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) || !pointer.is_aligned() {
        return Err(Error::invalid_argument(name, "is no array"));
    }
    // SAFETY: not null, aligned, not larger than memory can be; the rest is the caller's promise. It is only written to.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// Copies a text into a fixed array, cut to whole characters, with a zero byte behind it.
pub(crate) fn put_text(target: &mut [c_char], text: &str) {
    let mut length = text.len().min(target.len().saturating_sub(1));
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    for (place, byte) in target.iter_mut().zip(text.as_bytes()[..length].iter().chain([&0])) {
        *place = *byte as c_char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Options {
        size: usize,
        old: u64,
        new: u64,
    }

    versioned!(Options);

    #[test]
    fn what_an_old_caller_does_not_know_is_neither_read_nor_written() {
        let size = std::mem::offset_of!(Options, new);
        let mut options = Options { size, old: 1, new: 2 };
        // SAFETY: a struct of at least that size.
        let read = unsafe { take(&raw const options, "options") }.expect("it has a size");
        assert_eq!((read.size, read.old, read.new), (size, 1, 0));
        // SAFETY: the same.
        unsafe { put(&raw mut options, Options { size: 0, old: 3, new: 3 }) };
        assert_eq!((options.size, options.old, options.new), (size, 3, 2));
    }

    #[test]
    fn options_without_a_size_are_refused() {
        let options = Options { size: 0, old: 1, new: 2 };
        // SAFETY: a struct.
        assert!(unsafe { take(&raw const options, "options") }.is_err());
        // One that ends within a field, which could be a pointer.
        let options = Options { size: 13, old: 1, new: 2 };
        // SAFETY: a struct.
        assert!(unsafe { take(&raw const options, "options") }.is_err());
        // SAFETY: null.
        assert!(unsafe { take(std::ptr::null::<Options>(), "options") }.is_err());
    }

    #[test]
    fn options_of_a_later_version_are_refused_unless_they_are_the_default() {
        #[repr(C)]
        struct Later(Options, u64);
        let size = size_of::<Later>();
        let mut options = Later(Options { size, old: 1, new: 2 }, 0);
        // SAFETY: a struct of that size.
        let read =
            unsafe { take((&raw const options).cast::<Options>(), "options") }.expect("nothing new is asked for");
        assert_eq!((read.old, read.new), (1, 2));
        options.1 = 1;
        // SAFETY: the same.
        let refused = unsafe { take((&raw const options).cast::<Options>(), "options") };
        assert!(refused.is_err());
        options.0.size = usize::MAX;
        // SAFETY: such a size is not believed.
        assert!(unsafe { take((&raw const options).cast::<Options>(), "options") }.is_err());
    }

    #[test]
    fn a_result_without_a_size_is_refused() {
        let mut options = Options { size: 0, old: 1, new: 2 };
        // SAFETY: a struct.
        assert!(unsafe { need_sized(&raw mut options, "options") }.is_err());
        options.size = size_of::<usize>();
        // SAFETY: the same.
        assert!(unsafe { need_sized(&raw mut options, "options") }.is_ok());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut room = [1; 4];
        put_text(&mut room, "aéé");
        assert_eq!(room.map(|byte| byte as u8), [b'a', 0xc3, 0xa9, 0]);
        put_text(&mut room, "");
        assert_eq!(room[0], 0);
    }
}
