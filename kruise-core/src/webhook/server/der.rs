//! The one field of a certificate that is looked at here: the end of its validity.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER. `None` if it cannot be found.
pub(crate) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (tag, certificate, _) = element(certificate)?;
    let (inner, tbs, _) = element(certificate)?;
    if tag != SEQUENCE || inner != SEQUENCE {
        return None;
    }
    let mut rest = tbs;
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// Tag, content and what follows of the first element.
fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = data.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (
            bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            rest,
        )
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` (years 1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    if rest.len() != 10 {
        return None;
    }
    let date = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(time(UTC_TIME, "361123070809Z"), at("2036-11-23T07:08:09Z"));
        assert_eq!(time(UTC_TIME, "500101000000Z"), at("1950-01-01T00:00:00Z"));
        assert_eq!(
            time(GENERALIZED_TIME, "20511231235959Z"),
            at("2051-12-31T23:59:59Z")
        );
        assert_eq!(time(UTC_TIME, "361323070809Z"), None);
        assert_eq!(time(UTC_TIME, "3611230708"), None);
    }

    #[test]
    fn the_end_of_a_real_certificate_is_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, wanted) in [(2031, "2031-05-06T00:00:00Z"), (2077, "2077-05-06T00:00:00Z")] {
            let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 5, 6);
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), wanted.parse().ok());
        }
    }

    #[test]
    fn broken_certificates_have_no_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let der = certificate.der();
        for length in 0..der.len() {
            assert_eq!(not_after(&der[..length]), None);
        }
    }
}
