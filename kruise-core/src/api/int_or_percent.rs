//! A number of things, or a share of them: `3` or `"30%"`.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A number, or a percentage of a total.
///
/// ```
/// use kruise_core::api::IntOrPercent;
/// use kruise_core::policy::rounding::Rounding;
///
/// let share: IntOrPercent = "30%".parse()?;
/// assert_eq!(share.of(10, Rounding::Up), 3);
/// assert_eq!(share.of(5, Rounding::Up), 2); // 1.5
/// assert_eq!(share.of(5, Rounding::Down), 1);
/// assert_eq!(IntOrPercent::Int(7).of(5, Rounding::Up), 7); // a number is not bounded by the total
/// assert!("30".parse::<IntOrPercent>().is_err()); // as text only percentages
/// # Ok::<(), kruise_core::api::IntOrPercentError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// So many.
    Int(i32),
    /// So many of a hundred; above 100 is possible.
    Percent(i32),
}

/// The value is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value: {0:?}: must be a number such as 3, or a percentage such as \"30%\"")]
pub struct IntOrPercentError(String);

impl IntOrPercent {
    /// Reads what a manifest holds. Text must be digits and a percent sign.
    ///
    /// # Errors
    /// The text is no percentage.
    pub fn read(value: &IntOrString) -> Result<Self, IntOrPercentError> {
        match value {
            IntOrString::Int(number) => Ok(Self::Int(*number)),
            IntOrString::String(text) => text.parse(),
        }
    }

    /// How many it is of `total`.
    pub fn of(self, total: usize, rounding: crate::policy::rounding::Rounding) -> i64 {
        match self {
            Self::Int(number) => i64::from(number),
            Self::Percent(percent) => rounding.divide(i128::from(percent) * total as i128, 100),
        }
    }

    /// Whether it is below zero, which no field allows.
    pub fn is_negative(self) -> bool {
        matches!(self, Self::Int(number) | Self::Percent(number) if number < 0)
    }
}

impl FromStr for IntOrPercent {
    type Err = IntOrPercentError;

    fn from_str(text: &str) -> Result<Self, IntOrPercentError> {
        let digits = text
            .strip_suffix('%')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number
            .map(Self::Percent)
            .ok_or_else(|| IntOrPercentError(text.to_owned()))
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl From<IntOrPercent> for IntOrString {
    fn from(value: IntOrPercent) -> Self {
        match value {
            IntOrPercent::Int(number) => Self::Int(number),
            percent @ IntOrPercent::Percent(_) => Self::String(percent.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_with_a_percent_sign_are_a_percentage() {
        assert_eq!("0%".parse(), Ok(IntOrPercent::Percent(0)));
        assert_eq!("150%".parse(), Ok(IntOrPercent::Percent(150)));
        for wrong in [
            "",
            "%",
            "5",
            "-5%",
            "+5%",
            " 5%",
            "5 %",
            "5%%",
            "1.5%",
            "99999999999%",
            "٣%",
        ] {
            let error = wrong.parse::<IntOrPercent>().unwrap_err();
            assert!(
                error.to_string().contains("must be a number such as 3"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for value in [
            IntOrPercent::Int(-3),
            IntOrPercent::Int(7),
            IntOrPercent::Percent(12),
        ] {
            assert_eq!(IntOrPercent::read(&value.into()), Ok(value));
        }
    }
}
