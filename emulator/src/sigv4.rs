//! Signature Version 4, from the service's side: is a request signed by who it says, and lately?
//!
//! Knows the header form only, and one pair of credentials. Which operation is called doesn't matter here.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, Uri};
use ssmwire::Secret;

use crate::api::ApiError;
use crate::date::parse_date;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the signer's clock may be off.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// A request, as far as its signature covers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    /// The HTTP method.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) uri: &'a Uri,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The whole body.
    pub(crate) body: &'a [u8],
}

/// The credentials that requests must be signed with.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The access key's id.
    pub(crate) access_key_id: String,
    /// The secret key.
    pub(crate) secret_access_key: Secret,
}

impl Signed<'_> {
    /// Checks the signature. Any region and service will do, so long as the signature is made for them.
    ///
    /// # Errors
    /// The error that AWS answers with: no or half a signature, an unknown key, a clock that is off, a wrong signature.
    pub(crate) fn verify(&self, credentials: &Credentials, now: SystemTime) -> Result<(), ApiError> {
        let authorization = self
            .header("authorization")
            .ok_or_else(|| ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
        let authorization = Authorization::parse(authorization)?;
        let date = self.header("x-amz-date").ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        if authorization.access_key_id != credentials.access_key_id {
            let message = "The security token included in the request is invalid.";
            return Err(ApiError::new("UnrecognizedClientException", message));
        }
        check_clock(date, now)?;
        if !date.starts_with(authorization.date) {
            return Err(ApiError::invalid_signature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
            ));
        }
        let to_sign = self.string_to_sign(&authorization, date)?;
        let key = signing_key(credentials.secret_access_key.expose(), &authorization);
        let given = unhex(authorization.signature).unwrap_or_default();
        hmac::verify(&key, to_sign.as_bytes(), &given).map_err(|_| {
            ApiError::invalid_signature(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.",
            )
        })
    }

    /// Returns the `Authorization` header of this request for a region and a service. `signed_headers` are the names of
    /// headers that it has, in order, with semicolons between.
    ///
    /// # Errors
    /// The name of a header that it has not.
    pub(crate) fn sign(
        &self,
        credentials: &Credentials,
        (region, service): (&str, &str),
        signed_headers: &str,
        date: &str,
    ) -> Result<String, ApiError> {
        let access_key_id = credentials.access_key_id.as_str();
        let day = date.get(..8).unwrap_or(date);
        let authorization = Authorization { access_key_id, date: day, region, service, signed_headers, signature: "" };
        let to_sign = self.string_to_sign(&authorization, date)?;
        let key = signing_key(credentials.secret_access_key.expose(), &authorization);
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let scope = authorization.scope();
        Ok(format!(
            "{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        ))
    }

    fn string_to_sign(&self, authorization: &Authorization<'_>, date: &str) -> Result<String, ApiError> {
        let request = self.canonical_request(authorization)?;
        let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        Ok(format!("{ALGORITHM}\n{date}\n{}\n{request}", authorization.scope()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn canonical_request(&self, authorization: &Authorization<'_>) -> Result<String, ApiError> {
        let mut out = format!("{}\n{}\n{}\n", self.method, canonical_path(self.uri.path()), canonical_query(self.uri));
        for name in authorization.signed_headers.split(';') {
            let values: Vec<_> = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            if values.is_empty() {
                return Err(ApiError::invalid_signature(format!("header `{name}` is signed and missing")));
            }
            let values: Vec<_> = values.iter().map(|v| v.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            // Writing to a string can't fail.
            let _ = writeln!(out, "{name}:{}", values.join(","));
        }
        let _ = write!(
            out,
            "\n{}\n{}",
            authorization.signed_headers,
            hex(digest::digest(&digest::SHA256, self.body).as_ref())
        );
        Ok(out)
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }

    fn parse(text: &'a str) -> Result<Self, ApiError> {
        let fields = text.strip_prefix(ALGORITHM).ok_or_else(|| incomplete("Unsupported AWS 'algorithm'."))?;
        let field = |name: &str| {
            let mut parts = fields.split(',').map(str::trim);
            parts
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
                .ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let (credential, signed_headers, signature) =
            (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
        let mut parts = credential.rsplitn(5, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        match (part(), part(), part(), part(), part()) {
            (Some("aws4_request"), Some(service), Some(region), Some(date), Some(access_key_id)) => {
                Ok(Self { access_key_id, date, region, service, signed_headers, signature })
            }
            _ => Err(incomplete("Credential must have exactly 5 slash-delimited elements.")),
        }
    }
}

fn incomplete(message: impl Into<String>) -> ApiError {
    ApiError::new("IncompleteSignatureException", message)
}

fn check_clock(date: &str, now: SystemTime) -> Result<(), ApiError> {
    let signed = parse_date(date).ok_or_else(|| {
        incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    if now.duration_since(signed).is_ok_and(|age| age > SKEW_MAX) {
        return Err(ApiError::invalid_signature(format!("Signature expired: {date} is more than 5 min. old")));
    }
    if signed.duration_since(now).is_ok_and(|lead| lead > SKEW_MAX) {
        return Err(ApiError::invalid_signature(format!(
            "Signature not yet current: {date} is more than 5 min. ahead"
        )));
    }
    Ok(())
}

fn signing_key(secret: &str, authorization: &Authorization<'_>) -> hmac::Key {
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in [authorization.date, authorization.region, authorization.service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

/// Encodes a path once more, as all services but S3 have it.
fn canonical_path(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { path.split('/').map(encode).collect::<Vec<_>>().join("/") }
}

fn canonical_query(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(decode(name)), encode(decode(value))))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(text: impl AsRef<[u8]>) -> String {
    let mut out = String::new();
    for byte in text.as_ref() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            // Writing to a string can't fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped =
            if *byte == b'%' { after.get(..2).and_then(|pair| unhex(std::str::from_utf8(pair).ok()?)) } else { None };
        match escaped {
            Some(escaped) => {
                out.extend(escaped);
                rest = &after[2..];
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string can't fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The example of the public specification ("get-vanilla-query-order-key-case" of the signature test suite).
    const SUITE_DATE: &str = "20150830T123600Z";
    const SUITE_SIGNATURE: &str = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        }
    }

    fn suite_headers(signature: &str) -> HeaderMap {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.amazonaws.com"));
        headers.insert("x-amz-date", HeaderValue::from_static(SUITE_DATE));
        headers.insert("authorization", HeaderValue::from_str(&authorization).expect("a header value"));
        headers
    }

    fn verify(headers: &HeaderMap, uri: &'static str, minutes_later: u64) -> Result<(), String> {
        let now = parse_date(SUITE_DATE).expect("a date") + Duration::from_secs(60 * minutes_later);
        let uri = Uri::from_static(uri);
        let signed = Signed { method: "GET", uri: &uri, headers, body: b"" };
        signed.verify(&credentials(), now).map_err(|error| error.code)
    }

    #[test]
    fn the_published_example_verifies_in_any_order_of_its_query() {
        let headers = suite_headers(SUITE_SIGNATURE);
        assert_eq!(verify(&headers, "/?Param2=value2&Param1=value1", 0), Ok(()));
        assert_eq!(verify(&headers, "/?Param1=value1&Param2=value2", 4), Ok(()));
    }

    #[test]
    fn what_is_signed_here_has_the_published_signature() {
        let headers = suite_headers("");
        let uri = Uri::from_static("/?Param2=value2&Param1=value1");
        let signed = Signed { method: "GET", uri: &uri, headers: &headers, body: b"" };
        let scope = ("us-east-1", "service");
        let authorization = signed.sign(&credentials(), scope, "host;x-amz-date", SUITE_DATE).expect("it has both");
        assert_eq!(authorization, suite_headers(SUITE_SIGNATURE)["authorization"]);
        assert!(signed.sign(&credentials(), scope, "content-type;host", SUITE_DATE).is_err());
    }

    #[test]
    fn a_changed_request_or_signature_does_not_verify() {
        let invalid = Err("InvalidSignatureException".to_owned());
        assert_eq!(verify(&suite_headers(SUITE_SIGNATURE), "/?Param1=value1&Param2=other", 0), invalid);
        assert_eq!(
            verify(&suite_headers(&SUITE_SIGNATURE.replace('b', "c")), "/?Param2=value2&Param1=value1", 0),
            invalid
        );
        assert_eq!(verify(&suite_headers("xyz"), "/?Param2=value2&Param1=value1", 0), invalid);
    }

    #[test]
    fn a_signature_is_good_for_five_minutes() {
        let invalid = Err("InvalidSignatureException".to_owned());
        assert_eq!(verify(&suite_headers(SUITE_SIGNATURE), "/?Param2=value2&Param1=value1", 6), invalid);
    }

    #[test]
    fn what_is_missing_is_named_by_its_own_code() {
        let mut headers = suite_headers(SUITE_SIGNATURE);
        headers.remove("x-amz-date");
        assert_eq!(verify(&headers, "/", 0), Err("IncompleteSignatureException".to_owned()));
        headers.insert("authorization", HeaderValue::from_static("AWS4-HMAC-SHA256 Credential=a/b/c"));
        assert_eq!(verify(&headers, "/", 0), Err("IncompleteSignatureException".to_owned()));
        headers.remove("authorization");
        assert_eq!(verify(&headers, "/", 0), Err("MissingAuthenticationTokenException".to_owned()));
        let mut headers = suite_headers(SUITE_SIGNATURE);
        let other = headers["authorization"].to_str().expect("text").replace("AKIDEXAMPLE", "AKIDOTHER");
        headers.insert("authorization", HeaderValue::from_str(&other).expect("a header value"));
        assert_eq!(verify(&headers, "/", 0), Err("UnrecognizedClientException".to_owned()));
    }
}
