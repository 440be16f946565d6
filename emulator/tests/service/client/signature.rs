//! Signature Version 4, from the client's side.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};

use super::Caller;

impl Caller {
    /// Returns the headers of a signed API call.
    pub(crate) fn signed_headers(&self, service: &str, target: &str, body: &str) -> Vec<(String, String)> {
        let date = self.date();
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("host", self.address.to_string()),
            ("x-amz-date", date.clone()),
        ];
        headers.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        headers.push(("x-amz-target", target.to_owned()));
        self.sign(headers, service, "POST\n/\n", body)
    }

    /// Returns the headers of an agent's signed call of the message gateway.
    pub(crate) fn signed_agent_headers(&self, path: &str, body: &str) -> Vec<(String, String)> {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("host", self.address.to_string()),
            ("x-amz-date", self.date()),
        ];
        self.sign(headers, "ssmmessages", &format!("POST\n{path}\n"), body)
    }

    /// Returns the headers that a signed websocket upgrade has beyond the usual ones. The query has one `=` at its end.
    pub(crate) fn signed_upgrade_headers(&self, path: &str, query: &str) -> Vec<(String, String)> {
        let headers = vec![("host", self.address.to_string()), ("x-amz-date", self.date())];
        let mut pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').expect("a pair")).collect();
        pairs.sort_unstable();
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", value.replace('=', "%3D")));
        let head = format!("GET\n{path}\n{}", pairs.collect::<Vec<_>>().join("&"));
        self.sign(headers, "ssmmessages", &head, "")
    }

    fn sign(&self, mut headers: Vec<(&str, String)>, service: &str, head: &str, body: &str) -> Vec<(String, String)> {
        let date = headers.iter().find(|(name, _)| *name == "x-amz-date").expect("a date").1.clone();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("{head}\n{canonical}\n{names}\n{}", sha256(body));
        let scope = format!("{}/{}/{service}/aws4_request", &date[..8], self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&request));
        let secret = format!("AWS4{}", self.secret_access_key).into_bytes();
        let parts = [&date[..8], self.region.as_str(), service, "aws4_request", to_sign.as_str()];
        let signature = parts.iter().fold(secret, |key, part| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec()
        });
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key_id,
            hex(&signature)
        );
        headers.push(("authorization", authorization));
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn date(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        let seconds = now + self.clock_ahead;
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // The civil calendar from the day's number, in years that begin in March.
        let z = days + 719_468;
        let (era, day) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
