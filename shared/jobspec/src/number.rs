//! Numbers of the language: whole ones exactly, decimal fractions as people expect them to add up.

use std::cmp::Ordering;
use std::fmt;

/// A number. Whole numbers are exact up to 38 digits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i128),
    /// Not whole, or too large to be exact.
    Float(f64),
}

impl Number {
    /// A number from a float; whole ones become exact, as they are written.
    pub(crate) fn from_f64(number: f64) -> Self {
        number.to_string().parse().map_or(Self::Float(number), Self::Int)
    }

    /// Reads decimal notation.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse() {
            return Some(Self::Int(whole));
        }
        let shape = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        if text.is_empty() || !text.chars().all(shape) {
            return None;
        }
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Self::from_f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the nearest float is what is asked for"
    )]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Int(whole) => whole as f64,
            Self::Float(number) => number,
        }
    }

    /// The whole number that this is.
    pub(crate) fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(whole) => i64::try_from(whole).ok(),
            Self::Float(_) => None,
        }
    }

    pub(crate) fn as_usize(self) -> Option<usize> {
        self.as_i64().and_then(|whole| usize::try_from(whole).ok())
    }

    pub(crate) fn add(self, other: Self) -> Self {
        self.exact(other, i128::checked_add)
            .unwrap_or_else(|| Self::from_f64(self.as_f64() + other.as_f64()))
    }

    pub(crate) fn subtract(self, other: Self) -> Self {
        self.exact(other, i128::checked_sub)
            .unwrap_or_else(|| Self::from_f64(self.as_f64() - other.as_f64()))
    }

    pub(crate) fn multiply(self, other: Self) -> Self {
        let product = || {
            let ((a, a_scale), (b, b_scale)) = (self.decimal()?, other.decimal()?);
            Self::from_decimal(a.checked_mul(b)?, a_scale + b_scale)
        };
        product().unwrap_or_else(|| Self::from_f64(self.as_f64() * other.as_f64()))
    }

    /// `None` divides by zero.
    pub(crate) fn divide(self, other: Self) -> Option<Self> {
        match (self, other) {
            (_, Self::Int(0)) => None,
            (Self::Int(a), Self::Int(b)) if a.checked_rem(b) == Some(0) => Some(Self::Int(a / b)),
            _ => Some(Self::from_f64(self.as_f64() / other.as_f64())),
        }
    }

    /// The remainder with the sign of the left operand; `None` divides by zero.
    pub(crate) fn modulo(self, other: Self) -> Option<Self> {
        match (self, other) {
            (_, Self::Int(0)) => None,
            (Self::Int(a), Self::Int(b)) => a.checked_rem(b).map(Self::Int),
            _ => Some(
                self.exact(other, i128::checked_rem)
                    .unwrap_or_else(|| Self::from_f64(self.as_f64() % other.as_f64())),
            ),
        }
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Self::Int(whole) => Self::Int(whole.saturating_neg()),
            Self::Float(number) => Self::Float(-number),
        }
    }

    /// Applies an operation of whole numbers to both after scaling them to the same power of ten.
    fn exact(self, other: Self, operation: fn(i128, i128) -> Option<i128>) -> Option<Self> {
        let ((a, a_scale), (b, b_scale)) = (self.decimal()?, other.decimal()?);
        let scale = a_scale.max(b_scale);
        let widen = |mantissa: i128, from: u32| mantissa.checked_mul(10_i128.checked_pow(scale - from)?);
        Self::from_decimal(operation(widen(a, a_scale)?, widen(b, b_scale)?)?, scale)
    }

    /// Mantissa and number of decimal places, as the number is written.
    fn decimal(self) -> Option<(i128, u32)> {
        match self {
            Self::Int(whole) => Some((whole, 0)),
            Self::Float(number) => {
                let text = number.to_string();
                let (whole, fraction) = text.split_once('.')?;
                let scale = u32::try_from(fraction.len()).ok()?;
                Some((format!("{whole}{fraction}").parse().ok()?, scale))
            }
        }
    }

    fn from_decimal(mantissa: i128, scale: u32) -> Option<Self> {
        let power = 10_i128.checked_pow(scale)?;
        if mantissa % power == 0 {
            return Some(Self::Int(mantissa / power));
        }
        format!("{mantissa}e-{scale}").parse().ok().map(Self::Float)
    }
}

impl From<i64> for Number {
    fn from(whole: i64) -> Self {
        Self::Int(whole.into())
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

/// Without exponent, as the language turns numbers into text.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(whole) => whole.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_fractions_add_up() {
        let number = |text| Number::parse(text).unwrap();
        assert_eq!(number("0.1").add(number("0.2")).to_string(), "0.3");
        assert_eq!(number("1.1").multiply(number("1.1")).to_string(), "1.21");
        assert_eq!(number("1.5").subtract(number("0.5")).to_string(), "1");
        assert_eq!(number("7").modulo(number("2.5")).unwrap().to_string(), "2");
        assert_eq!(number("10").divide(number("4")).unwrap().to_string(), "2.5");
        assert!(number("1").divide(number("0")).is_none());
        assert_eq!(number("1e3"), Number::Int(1000));
        assert_eq!(number("1e26").to_string(), "100000000000000000000000000");
        assert!(Number::parse("1_000").is_none());
    }
}
