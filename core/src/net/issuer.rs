//! The name of whoever signed a certificate, for an error message; nothing is ever decided by it.
//!
//! Just enough DER to walk to the issuer's attributes. Anything unexpected gives `None`.

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_VERSION: u8 = 0xa0;

/// The attribute types 2.5.4.3 and 2.5.4.10, as DER content.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Longest name that is repeated in a message.
const MAX_NAME: usize = 128;

/// Returns the common name of the certificate's issuer, or its organization if it has none.
pub(super) fn issuer_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, to_be_signed, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let mut rest = to_be_signed;
    if let Some((EXPLICIT_VERSION, _, after)) = element(rest) {
        rest = after;
    }
    let (_, _, rest) = element(rest).filter(|(tag, ..)| *tag == INTEGER)?;
    let (_, _, rest) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, issuer, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    attribute(issuer, COMMON_NAME).or_else(|| attribute(issuer, ORGANIZATION))
}

/// Finds the attribute of type `wanted` in a distinguished name: a sequence of sets of (type, value).
fn attribute(mut name: &[u8], wanted: &[u8]) -> Option<String> {
    while let Some((tag, relative, after)) = element(name) {
        name = after;
        let found = (tag == SET).then(|| element(relative)).flatten().and_then(|(_, pair, _)| {
            let (tag, kind, rest) = element(pair)?;
            let (_, value, _) = element(rest)?;
            (tag == OBJECT_IDENTIFIER && kind == wanted).then(|| readable(value))
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Splits the first element off: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// Makes a peer's bytes fit for a terminal: no control characters, not too long.
fn readable(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn self_signed(kind: rcgen::DnType, name: &str) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).expect("a valid name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(kind, name);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_else_the_organization() {
        assert_eq!(issuer_of(&self_signed(rcgen::DnType::CommonName, "Corp CA")).as_deref(), Some("Corp CA"));
        assert_eq!(issuer_of(&self_signed(rcgen::DnType::OrganizationName, "Corp")).as_deref(), Some("Corp"));
    }

    #[test]
    fn a_cut_certificate_has_no_issuer() {
        let certificate = self_signed(rcgen::DnType::CommonName, "Corp CA");
        for length in 0..certificate.len() {
            assert_eq!(issuer_of(&certificate[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let name = issuer_of(&bytes);
            prop_assert!(name.is_none_or(|name| name.chars().count() <= MAX_NAME));
        }
    }
}
