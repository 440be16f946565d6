//! The signatures that are not the SDK's: of the data channel's upgrade request, PROTOCOL §2.2, and of calls made by
//! hand.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue, Uri};

use crate::{Error, Kind, Result};

const SERVICE: &str = "ssmmessages";

/// The query parameters of a URL that is signed already; one of them is enough.
const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Returns whether `url` carries its signature in the query.
pub(super) fn is_presigned(url: &Uri) -> bool {
    let names = url.query().unwrap_or_default().split('&').filter_map(|parameter| parameter.split('=').next());
    names.into_iter().any(|name| PRESIGNED.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Signs a GET of `url` with SigV4 and returns the headers to add to it, marked as sensitive.
pub(super) fn upgrade_headers(
    url: &Uri,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let request = Unsigned { method: "GET", url, headers: &[], body: b"" };
    headers(&request, SERVICE, region, credentials, now)
}

/// A request to sign; `host` is added to its headers.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Uri,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// Signs a request with SigV4 and returns the headers to add to it, marked as sensitive.
pub(super) fn headers(
    request: &Unsigned<'_>,
    service: &str,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let Unsigned { method, url, headers, body } = *request;
    let failed =
        |error: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("a request can't be signed: {error}"));
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    // Named here, because the signer would leave a port out of it that the `Host` header has.
    let host = url.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    let host = host.ok_or_else(|| Error::invalid_argument("url", "has no host"))?;
    let headers = std::iter::once(("host", host)).chain(headers.iter().copied());
    let request = SignableRequest::new(method, url.to_string(), headers, SignableBody::Bytes(body));
    let request = request.map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &params).map_err(|error| failed(&error))?.into_parts();
    let (headers, _) = instructions.into_parts();
    headers
        .into_iter()
        .map(|header| {
            let mut value = HeaderValue::from_str(header.value()).map_err(|error| failed(&error))?;
            value.set_sensitive(true);
            Ok((HeaderName::from_static(header.name()), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const URL: &str =
        "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/user-0abc?role=publish_subscribe&cell-number=AAEA";

    fn headers(url: &str, token: Option<&str>) -> HashMap<String, String> {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", token.map(str::to_owned), None, "test");
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let headers = upgrade_headers(&url.parse().expect("a URL"), "eu-west-1", credentials, now).expect("headers");
        assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect()
    }

    #[test]
    fn host_and_date_are_signed_for_ssmmessages() {
        let headers = headers(URL, None);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        let authorization = &headers["authorization"];
        let credential = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/ssmmessages/aws4_request, ";
        assert!(authorization.starts_with(credential), "{authorization}");
        assert!(authorization.contains("SignedHeaders=host;x-amz-date, "), "{authorization}");
    }

    #[test]
    fn a_session_token_is_signed_and_sent() {
        let headers = headers(URL, Some("the-token"));
        assert_eq!(headers["x-amz-security-token"], "the-token");
        assert!(headers["authorization"].contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "));
    }

    /// The signature of the first test, computed by the rules of SigV4 on paper: canonical request, string to sign,
    /// key. Changing any input must change it.
    #[test]
    fn the_signature_is_that_of_the_rules() {
        use aws_lc_rs::{digest, hmac};
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sha256 = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let mac = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let canonical = format!(
            "GET\n/v1/data-channel/user-0abc\ncell-number=AAEA&role=publish_subscribe\n\
             host:ssmmessages.eu-west-1.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{}",
            sha256("")
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/eu-west-1/ssmmessages/aws4_request\n{}",
            sha256(&canonical)
        );
        let mut key = b"AWS4secret".to_vec();
        for part in ["20150830", "eu-west-1", "ssmmessages", "aws4_request"] {
            key = mac(&key, part);
        }
        let expected = format!("Signature={}", hex(&mac(&key, &to_sign)));
        assert!(headers(URL, None)["authorization"].ends_with(&expected));
        assert!(!headers(&URL.replace("AAEA", "AAEB"), None)["authorization"].ends_with(&expected));
    }

    #[test]
    fn a_presigned_url_is_known_by_any_parameter() {
        for name in PRESIGNED {
            let url = format!("{URL}&{name}=x");
            assert!(is_presigned(&url.parse().expect("a URL")), "{name}");
        }
        assert!(is_presigned(&"wss://h/?x-amz-signature=x".parse().expect("a URL")));
        assert!(!is_presigned(&URL.parse().expect("a URL")));
        assert!(!is_presigned(&"wss://h/X-Amz-Signature?a=X-Amz-Signature".parse().expect("a URL")));
    }
}
