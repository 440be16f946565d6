//! The table behind the ids that callers hold, and what closing an id means for those who wait on it.
//!
//! It knows nothing of what is in it. Loom has models of it (`loom/`).

use std::task::Waker;

use self::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, PoisonError, RwLock};

/// What loom puts its own in place of.
#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
}
#[cfg(loom)]
mod sync {
    pub(super) use std::sync::{Arc, PoisonError};

    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard, RwLock};
}

/// Handles of one kind that can be open at once: what the slot's bits hold.
const SLOTS_MAX: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 20;
const EPOCH_BITS: u32 = 8;
const KIND_BITS: u32 = 4;

/// Why an id leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It was closed or never opened, or it is of another kind.
    Closed,
    /// It was opened before a fork, in the parent.
    Forked,
    /// There are a million already.
    Full,
}

/// The open handles of one kind, in one process.
///
/// An id is, from its high bits on: a generation, so that an id is never used again; the kind, so that an id of another
/// kind is found out; the epoch, which counts forks; the slot. None is 0.
pub struct Table<T> {
    kind: u32,
    epoch: u32,
    slots: RwLock<Slots<T>>,
}

struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    entry: Option<Arc<Entry<T>>>,
}

impl<T> Table<T> {
    /// Makes an empty table of handles of that kind.
    pub fn new(kind: u32, epoch: u32) -> Self {
        debug_assert!(kind < 1 << KIND_BITS && epoch < 1 << EPOCH_BITS);
        Self { kind, epoch, slots: RwLock::new(Slots { slots: Vec::new(), free: Vec::new() }) }
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`Missing::Full`].
    pub fn open(&self, value: T) -> Result<u64, Missing> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let entry = Some(Arc::new(Entry::new(value)));
        let slot = match slots.free.pop() {
            Some(slot) => {
                let place = &mut slots.slots[slot as usize];
                place.entry = entry;
                slot
            }
            None if slots.slots.len() >= SLOTS_MAX => return Err(Missing::Full),
            None => {
                slots.slots.push(Slot { generation: 1, entry });
                slots.slots.len() as u32 - 1
            }
        };
        Ok(self.id(slots.slots[slot as usize].generation, slot))
    }

    /// Finds what an id leads to.
    ///
    /// # Errors
    /// [`Missing::Closed`] or [`Missing::Forked`].
    pub fn get(&self, id: u64) -> Result<Arc<Entry<T>>, Missing> {
        let (generation, slot) = self.parts(id)?;
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let place = slots.slots.get(slot).filter(|place| place.generation == generation);
        place.and_then(|place| place.entry.clone()).ok_or(Missing::Closed)
    }

    /// Closes a handle: its id leads nowhere from now on, and who waits on it goes on with [`Entry::is_closed`]. Returns
    /// what it led to.
    ///
    /// # Errors
    /// [`Missing::Closed`] or [`Missing::Forked`].
    pub fn close(&self, id: u64) -> Result<Arc<Entry<T>>, Missing> {
        let (generation, slot) = self.parts(id)?;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let place = slots.slots.get_mut(slot).filter(|place| place.generation == generation);
        let place = place.ok_or(Missing::Closed)?;
        let entry = place.entry.take().ok_or(Missing::Closed)?;
        // A slot whose generations are used up is not used again.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            slots.free.push(slot as u32);
        }
        drop(slots);
        entry.close();
        Ok(entry)
    }

    /// Closes all handles, and returns what they led to.
    pub fn close_all(&self) -> Vec<Arc<Entry<T>>> {
        let ids: Vec<u64> = {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            let open = slots.slots.iter().enumerate().filter(|(_, slot)| slot.entry.is_some());
            open.map(|(at, slot)| self.id(slot.generation, at as u32)).collect()
        };
        ids.into_iter().filter_map(|id| self.close(id).ok()).collect()
    }

    fn id(&self, generation: u32, slot: u32) -> u64 {
        let low = self.kind << (EPOCH_BITS + SLOT_BITS) | self.epoch << SLOT_BITS | slot;
        u64::from(generation) << 32 | u64::from(low)
    }

    fn parts(&self, id: u64) -> Result<(u32, usize), Missing> {
        let (generation, low) = ((id >> 32) as u32, id as u32);
        let epoch = low >> SLOT_BITS & ((1 << EPOCH_BITS) - 1);
        if low >> (EPOCH_BITS + SLOT_BITS) != self.kind || generation == 0 || epoch > self.epoch {
            return Err(Missing::Closed);
        }
        if epoch < self.epoch {
            return Err(Missing::Forked);
        }
        Ok((generation, low as usize & (SLOTS_MAX - 1)))
    }
}

/// What can be waited for on one handle: one thread each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Operation {
    /// Bytes to read.
    Read,
    /// Room to write, or acknowledges.
    Write,
    /// The handle's readiness, end or result.
    State,
    /// An event.
    Event,
}

impl Operation {
    /// Whether it takes bytes that are nowhere else then.
    pub fn moves_bytes(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

const OPERATIONS: usize = 4;

/// What an id leads to, and who waits on it.
pub struct Entry<T> {
    value: T,
    is_closed: AtomicBool,
    parked: Mutex<[Option<Waker>; OPERATIONS]>,
    watch: Mutex<Option<Waker>>,
}

impl<T> Entry<T> {
    fn new(value: T) -> Self {
        let (parked, watch) = (Mutex::new(Default::default()), Mutex::new(None));
        Self { value, is_closed: AtomicBool::new(false), parked, watch }
    }

    /// Returns what the caller opened.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns whether the handle was closed meanwhile.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Says that a thread waits for `operation`; a close wakes it from now on. `None` if another thread does.
    ///
    /// Whoever parks must look at [`Entry::is_closed`] after this.
    pub fn park(&self, operation: Operation, waker: &Waker) -> Option<Parked<'_, T>> {
        let mut parked = self.parked();
        let place = &mut parked[operation as usize];
        if place.is_some() {
            return None;
        }
        *place = Some(waker.clone());
        drop(parked);
        Some(Parked { entry: self, operation })
    }

    /// Sets what is woken when an operation that had to be tried again can go on, or nothing.
    pub fn watch(&self, waker: Option<Waker>) {
        let previous = std::mem::replace(&mut *self.watch.lock().unwrap_or_else(PoisonError::into_inner), waker);
        drop(previous);
    }

    /// Returns what is to be woken.
    pub fn watcher(&self) -> Option<Waker> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let woken = std::mem::take(&mut *self.parked());
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    fn parked(&self) -> MutexGuard<'_, [Option<Waker>; OPERATIONS]> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that waits on a handle, for as long as this lives.
pub struct Parked<'a, T> {
    entry: &'a Entry<T>,
    operation: Operation,
}

impl<T> Drop for Parked<'_, T> {
    fn drop(&mut self) {
        self.entry.parked()[self.operation as usize] = None;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_its_value_until_it_is_closed_and_never_again() {
        let table = Table::new(3, 0);
        let first = table.open("a").expect("room");
        assert_eq!(table.get(first).expect("open").value(), &"a");
        assert!(!table.close(first).expect("open").value().is_empty());
        assert_eq!(table.close(first).err(), Some(Missing::Closed));
        let second = table.open("b").expect("room");
        assert_ne!(first, second);
        assert_eq!(table.get(first).err(), Some(Missing::Closed));
        assert_eq!(table.get(second).expect("open").value(), &"b");
    }

    #[test]
    fn ids_of_another_kind_of_a_fork_and_of_nobody_are_told_apart() {
        let id = Table::new(3, 1).open(()).expect("room");
        assert_eq!(Table::<()>::new(4, 1).get(id).err(), Some(Missing::Closed));
        assert_eq!(Table::<()>::new(3, 2).get(id).err(), Some(Missing::Forked));
        assert_eq!(Table::<()>::new(3, 0).get(id).err(), Some(Missing::Closed));
        let table = Table::new(3, 1);
        table.open(()).expect("room");
        for id in [0, 1, u64::MAX, id ^ 1 << 32, id + 1] {
            assert_eq!(table.get(id).err(), Some(Missing::Closed), "{id:x}");
        }
    }

    #[test]
    fn one_thread_waits_for_an_operation_and_others_for_other_ones() {
        let table = Table::new(1, 0);
        let entry = table.get(table.open(()).expect("room")).expect("open");
        let reading = entry.park(Operation::Read, Waker::noop());
        assert!(reading.is_some() && entry.park(Operation::Write, Waker::noop()).is_some());
        assert!(entry.park(Operation::Read, Waker::noop()).is_none());
        drop(reading);
        assert!(entry.park(Operation::Read, Waker::noop()).is_some());
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::thread;

    use super::*;

    /// Waits as `wait.rs` does, with loom's own thread.
    struct Flag(Mutex<bool>, loom::sync::Condvar);

    impl std::task::Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }

    #[test]
    fn who_waits_on_a_handle_goes_on_when_it_is_closed() {
        loom::model(|| {
            let table = Arc::new(Table::new(1, 0));
            let id = table.open(()).unwrap();
            let other = table.clone();
            let closing = thread::spawn(move || other.close(id).is_ok());
            if let Ok(entry) = table.get(id) {
                let flag = Arc::new(Flag(Mutex::new(false), loom::sync::Condvar::new()));
                let parked = entry.park(Operation::Read, &Waker::from(flag.clone())).unwrap();
                if !entry.is_closed() {
                    let mut is_woken = flag.0.lock().unwrap();
                    while !*is_woken {
                        is_woken = flag.1.wait(is_woken).unwrap();
                    }
                }
                assert!(entry.is_closed());
                drop(parked);
            }
            assert!(closing.join().unwrap());
        });
    }

    #[test]
    fn of_two_who_close_a_handle_one_does() {
        loom::model(|| {
            let table = Arc::new(Table::new(1, 0));
            let id = table.open(7).unwrap();
            let other = table.clone();
            let closing = thread::spawn(move || other.close(id).is_ok());
            let here = table.close(id).is_ok();
            assert!(closing.join().unwrap() != here);
            assert!(table.get(id).is_err());
        });
    }

    #[test]
    fn an_id_never_leads_to_another_value() {
        loom::model(|| {
            let table = Arc::new(Table::new(1, 0));
            let first = table.open(1).unwrap();
            let other = table.clone();
            let reusing = thread::spawn(move || {
                other.close(first).unwrap();
                other.open(2).unwrap()
            });
            if let Ok(entry) = table.get(first) {
                assert_eq!(*entry.value(), 1);
            }
            let second = reusing.join().unwrap();
            assert_eq!(*table.get(second).unwrap().value(), 2);
        });
    }
}
