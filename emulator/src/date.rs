//! Dates as AWS writes them in requests and answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `YYYYMMDDTHHMMSSZ`, from 1970 on; `None` if it is something else.
pub(crate) fn parse_date(text: &str) -> Option<SystemTime> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    if day.len() != 8 || time.len() != 6 || !day.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let (year, month, date) = (number(&day[..4])?, number(&day[4..6])?, number(&day[6..])?);
    let (hour, minute, second) = (number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&date) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // Days since the epoch, with the year taken to begin in March so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + date - 1 - 719_468;
    UNIX_EPOCH.checked_add(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Writes a time as [`parse_date`] reads it; one before 1970 as the beginning of 1970.
pub(crate) fn format_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let (day, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    // Years that begin in March, and eras of 400 of them.
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    format!("{year:04}{month:02}{date:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Returns a time as JSON 1.1 carries it: seconds since the epoch, with milliseconds.
pub(crate) fn epoch_seconds(time: SystemTime) -> f64 {
    let millis = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
    millis as f64 / 1000.0
}

/// Returns the time as frames carry it. Before the epoch there are no frames, so a clock that is off says 1.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |elapsed| elapsed.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["19700101T000000Z", "20000229T235959Z", "20240301T010203Z", "20991231T235959Z"] {
            assert_eq!(parse_date(text).map(format_date).as_deref(), Some(text));
        }
    }

    #[test]
    fn dates_count_leap_days() {
        let seconds = |text| parse_date(text).and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_secs());
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20000301T000000Z"), Some(951_868_800));
        assert_eq!(seconds("20240229T235959Z"), Some(1_709_251_199));
        assert_eq!(seconds("20241301T000000Z"), None);
        assert_eq!(seconds("2024-03-01"), None);
    }
}
