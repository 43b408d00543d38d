//! Amounts as people read them: bytes in powers of 1024, numbers to three digits.

const MIB: u64 = 1024 * 1024;

/// `0 B`, `1.5 MiB`, `24 GiB`: one decimal below ten, none above.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 10 {
        return format!("{count} B");
    }
    let power = (count.ilog2() / 10) as usize;
    // Half a tenth up, then cut: the original rounds this way.
    let value = (count as f64 / 1024f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let decimals = usize::from(value < 10.0 && power > 0);
    format!("{value:.decimals$} {}", UNITS[power])
}

/// The same for a count of mebibytes; negative counts show as nothing.
pub fn mebibytes(count: i64) -> String {
    bytes(u64::try_from(count).unwrap_or(0).saturating_mul(MIB))
}

/// Three significant digits, as scores are shown: `0.0289`, `-0.667`, `0`.
pub fn three_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".to_owned()
        } else {
            value.to_string()
        };
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(2 - magnitude).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_below_ten() {
        for (count, text) in [
            (0, "0 B"),
            (50, "50 B"),
            (1_564_672, "1.5 MiB"),
            (4096, "4.0 KiB"),
            (25_274_793_984, "24 GiB"),
            (7_150_018_560, "6.7 GiB"),
            (270_553_174_016, "252 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(mebibytes(300), "300 MiB");
    }

    #[test]
    fn scores_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.028_91, "0.0289"),
            (-0.666_67, "-0.667"),
            (-0.319, "-0.319"),
            (1.0, "1"),
            (0.5, "0.5"),
        ] {
            assert_eq!(three_digits(value), text);
        }
    }
}
