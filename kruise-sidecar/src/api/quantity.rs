//! Quantities of resources in the one form that Kubernetes gives them, so that `1000m` and `1` are the same.

use std::cmp::Ordering;

/// Nothing finer is kept.
const NANO: i128 = 1_000_000_000;
/// The largest quantity in units; larger ones become it.
const MAX: i128 = (1 << 63) - 1;
/// More decimal places than count.
const MAX_PLACES: usize = 30;
/// More digits than any quantity has.
const MAX_DIGITS: usize = 60;

const DECIMAL: [(i32, &str); 9] = [
    (-9, "n"),
    (-6, "u"),
    (-3, "m"),
    (3, "k"),
    (6, "M"),
    (9, "G"),
    (12, "T"),
    (15, "P"),
    (18, "E"),
];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Which suffixes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

/// A quantity such as `1500m`, `2Gi` or `1e3`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Reads a quantity; `None` for what is none. Finer parts than a billionth are rounded up, away from zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Parts {
            negative,
            whole,
            fraction,
            scale,
            format,
        } = Parts::of(text.trim())?;
        let fraction = fraction.get(..MAX_PLACES).unwrap_or(fraction);
        let digits = whole.trim_start_matches('0').to_owned() + fraction.trim_end_matches('0');
        let places = i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
        let nanos = match scale {
            Scale::Ten(exponent) => scaled(&digits, exponent.saturating_sub(places).saturating_add(9)),
            Scale::Two(power) => scaled_binary(&digits, places, power),
        };
        Some(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }

    /// Rounds up, away from zero, to thousandths, as admission does.
    #[must_use]
    pub(crate) fn round_up_to_milli(self) -> Self {
        const MICRO: i128 = NANO / 1000;
        let whole = self.nanos.abs().div_euclid(MICRO) + i128::from(self.nanos.abs() % MICRO != 0);
        Self {
            nanos: whole * MICRO * self.nanos.signum(),
            ..self
        }
    }

    /// Whether it is less than zero.
    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it has no fraction.
    pub(crate) fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// Compares the amounts.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }

    /// Writes it in its one form.
    pub(crate) fn canonical(self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        let sign = if self.nanos < 0 { "-" } else { "" };
        let amount = self.nanos.abs();
        // Below 1024 there is nothing to shorten by powers of two, and a fraction cannot be written with them.
        if self.format == Format::Binary && amount >= 1024 * NANO && amount % NANO == 0 {
            let mut number = amount / NANO;
            let mut suffixes = BINARY.iter().peekable();
            while number % 1024 == 0 && suffixes.len() > 1 {
                number /= 1024;
                suffixes.next();
            }
            return format!("{sign}{number}{}", suffixes.next().unwrap_or(&""));
        }
        let (mut number, mut exponent) = (amount, -9);
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        let suffix = match self.format {
            _ if exponent == 0 => String::new(),
            Format::Exponent => format!("e{exponent}"),
            Format::Decimal | Format::Binary => {
                let suffix = DECIMAL.iter().find(|(held, _)| *held == exponent);
                suffix.map_or("", |(_, suffix)| suffix).to_owned()
            }
        };
        format!("{sign}{number}{suffix}")
    }
}

/// A quantity as OpenKruise writes it into what it hashes; `None` for what is none.
///
/// That is Go's encoding of what admission has rounded up to thousandths. Go keeps the text that it has read where the
/// text is short and looks like the one form: `1.250`, `1E3` and `+2` stay what they are, while `0.5` becomes `500m`.
pub(crate) fn encoded(text: &str) -> Option<String> {
    let text = text.trim();
    let quantity = Quantity::parse(text)?;
    Some(match keeps_text(text) {
        Some(true) => text.to_owned(),
        _ => quantity.canonical(),
    })
}

/// Whether Go keeps the text of a quantity; `None` for what is none.
fn keeps_text(text: &str) -> Option<bool> {
    /// Numbers of more digits are read another way, which keeps no text.
    const DIGITS: usize = 18;
    let Parts {
        whole,
        fraction,
        scale,
        ..
    } = Parts::of(text)?;
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty());
    let whole = whole.unwrap_or("0");
    Some(match scale {
        Scale::Ten(exponent) => {
            let digits = whole.len() + fraction.len();
            let exponent =
                i32::try_from(fraction.len()).map_or(i32::MIN, |places| exponent.saturating_sub(places));
            let shifted = format!("{whole}{fraction}");
            // A number with parts finer than thousandths is rounded, and written anew.
            digits <= DIGITS
                && exponent >= -3
                && exponent % 3 == 0
                && !shifted.ends_with("000")
                && !shifted.starts_with('0')
        }
        Scale::Two(power) => {
            let power = usize::try_from(power).unwrap_or(usize::MAX);
            let is_short = whole.len() + power.saturating_mul(3) < 15;
            // No multiple of 8 can be the one form with a smaller suffix.
            let is_odd = whole.parse::<u64>().is_ok_and(|number| number % 8 != 0);
            fraction.is_empty() && is_short && is_odd
        }
    })
}

/// The text of a quantity, taken apart.
struct Parts<'t> {
    negative: bool,
    /// Digits before the point; may be empty, or begin with zeros.
    whole: &'t str,
    fraction: &'t str,
    scale: Scale,
    format: Format,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let end = unsigned
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (scale, format) = suffix_of(suffix)?;
        Some(Self {
            negative,
            whole,
            fraction,
            scale,
            format,
        })
    }
}

enum Scale {
    Ten(i32),
    Two(u32),
}

fn suffix_of(suffix: &str) -> Option<(Scale, Format)> {
    if suffix.is_empty() {
        return Some((Scale::Ten(0), Format::Decimal));
    }
    if let Some((exponent, _)) = DECIMAL.iter().find(|(_, held)| *held == suffix) {
        return Some((Scale::Ten(*exponent), Format::Decimal));
    }
    if let Some((power, _)) = (0..)
        .zip(BINARY)
        .find(|(power, held)| *power > 0 && *held == suffix)
    {
        return Some((Scale::Two(power), Format::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent
        .parse()
        .unwrap_or(if exponent.starts_with('-') { -1000 } else { 1000 });
    Some((Scale::Ten(exponent), Format::Exponent))
}

/// Digits times ten to a power, a rest rounded up, at most [`MAX`] units.
fn scaled(digits: &str, power: i32) -> i128 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let power = isize::try_from(power).unwrap_or(isize::MAX);
    let length = isize::try_from(digits.len()).unwrap_or(isize::MAX);
    if length.saturating_add(power) > 29 {
        return MAX * NANO;
    }
    let (kept, zeros) = match usize::try_from(power) {
        Ok(zeros) => (digits, zeros),
        Err(_) => (
            digits
                .get(..usize::try_from(length + power).unwrap_or(0))
                .unwrap_or(digits),
            0,
        ),
    };
    let rest = digits.get(kept.len()..).unwrap_or_default();
    let mut number: i128 = if kept.is_empty() {
        0
    } else {
        kept.parse().unwrap_or(MAX * NANO)
    };
    for _ in 0..zeros {
        number = number.saturating_mul(10);
    }
    if rest.bytes().any(|digit| digit != b'0') {
        number = number.saturating_add(1);
    }
    number.min(MAX * NANO)
}

/// Digits, of which some are decimal places, times a power of 1024.
fn scaled_binary(digits: &str, places: i32, power: u32) -> i128 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    if digits.len() > MAX_DIGITS {
        return MAX * NANO;
    }
    // Long multiplication in decimal, since 1024^6 times nine places passes what a number holds.
    let mut long: Vec<u32> = digits
        .bytes()
        .rev()
        .map(|digit| u32::from(digit - b'0'))
        .collect();
    for _ in 0..power {
        let mut carry = 0;
        for digit in &mut long {
            let product = *digit * 1024 + carry;
            (*digit, carry) = (product % 10, product / 10);
        }
        while carry > 0 {
            long.push(carry % 10);
            carry /= 10;
        }
    }
    let text: String = long
        .iter()
        .rev()
        .filter_map(|digit| char::from_digit(*digit, 10))
        .collect();
    scaled(&text, 9 - places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Quantity::parse(text).map(Quantity::canonical)
    }

    #[test]
    fn quantities_are_written_in_one_form() {
        for (text, form) in [
            ("1000m", "1"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("100", "100"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Mi", "512Ki"),
            ("1Ki", "1Ki"),
            ("1023Ki", "1023Ki"),
            ("0.1Ki", "102400m"),
            ("0.1Gi", "107374182400m"),
            ("1.0001Ki", "1024102400u"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1000e3", "1e6"),
            ("12e-1", "1200e-3"),
            ("1E", "1E"),
            ("0", "0"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("-500m", "-500m"),
            ("+2", "2"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("100n", "100n"),
            ("1u", "1u"),
            ("00012", "12"),
            ("1.0", "1"),
            ("10000000Mi", "10000000Mi"),
            ("9223372036854775807", "9223372036854775807"),
            ("1e30", "9223372036854775807"),
            ("16Ei", "9223372036854775807"),
            ("3Ei", "3Ei"),
            ("2048", "2048"),
            ("1e-10", "1e-9"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(form), "{text}");
        }
    }

    #[test]
    fn quantities_are_hashed_as_go_writes_them() {
        for (text, form) in [
            ("1.250", "1.250"),
            ("1.25", "1250m"),
            ("1E3", "1E3"),
            ("1e3", "1e3"),
            ("1e4", "10e3"),
            ("0.5", "500m"),
            ("0.500", "500m"),
            ("1000m", "1"),
            ("1.000", "1"),
            ("1Ki", "1Ki"),
            ("1024Ki", "1Mi"),
            ("1024", "1024"),
            ("1000", "1k"),
            ("+2", "+2"),
            ("02", "02"),
            ("5.", "5."),
            ("1.001k", "1.001k"),
            ("01Ki", "01Ki"),
            ("08Ki", "8Ki"),
            ("1.Ki", "1.Ki"),
            ("0.1Gi", "107374182400m"),
            ("1u", "1u"),
            ("-500m", "-500m"),
            ("-0", "0"),
            ("1234567890123456789", "1234567890123456789"),
            ("+1234567890123456789", "1234567890123456789"),
            ("+1Ei", "1Ei"),
        ] {
            assert_eq!(encoded(text).as_deref(), Some(form), "{text}");
        }
        assert_eq!(encoded("much"), None);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", "m", "1.2.3", "1Kib", "--1", "1 k", "e3", "1e", "1e+", ".", "-", "1ki", "0x1",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn admission_rounds_up_to_thousandths() {
        let rounded = |text| {
            Quantity::parse(text)
                .expect("a quantity")
                .round_up_to_milli()
                .canonical()
        };
        assert_eq!(rounded("1u"), "1m");
        assert_eq!(rounded("1.0001"), "1001m");
        assert_eq!(rounded("-0.0001"), "-1m");
        assert_eq!(rounded("0.0001Ki"), "103m");
        assert_eq!(rounded("2"), "2");
    }

    proptest! {
        #[test]
        fn the_form_is_stable_and_equal_in_amount(number in 0..10_000_000_u64, places in 0..4_usize, suffix in "(|m|k|M|G|Ki|Mi|Gi|e3|e-2)") {
            let digits = format!("{number:0>8}");
            let (whole, fraction) = digits.split_at(8 - places);
            let text = format!("{whole}.{fraction}0{suffix}");
            let read = Quantity::parse(&text).expect("a quantity");
            let again = Quantity::parse(&read.canonical()).expect("still one");
            prop_assert_eq!(read.compare(again), Ordering::Equal);
            // Without a factor of 1024 a number is written as any other, and then read as a decimal one.
            if !suffix.ends_with('i') {
                prop_assert_eq!(read.canonical(), again.canonical());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eEkKmMiGnu]{0,80}") {
            if let Some(read) = Quantity::parse(&text) {
                let written = read.round_up_to_milli().canonical();
                prop_assert!(Quantity::parse(&written).is_some(), "{}", written);
            }
        }
    }
}
