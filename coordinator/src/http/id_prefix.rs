//! Ids that are given in part: every id of a range begins with the same characters.

use std::ops::RangeInclusive;

use super::problem::Problem;

/// Characters of a whole id.
const WHOLE: usize = 36;

/// The ids that begin with `prefix`; `None` when no id can.
pub(super) fn range(prefix: &str) -> Option<RangeInclusive<u128>> {
    let (mut value, mut digits) = (0u128, 0u32);
    for (at, character) in prefix.chars().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if character != '-' {
                return None;
            }
            continue;
        }
        if digits == 32 {
            return None;
        }
        value = value << 4 | u128::from(character.to_digit(16)?);
        digits += 1;
    }
    let open = (32 - digits) * 4;
    if open == 128 {
        return Some(0..=u128::MAX);
    }
    Some(value << open..=(value << open | ((1 << open) - 1)))
}

/// The whole id that `text` is.
pub(super) fn whole<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    if text.len() != WHOLE {
        let problem = format!("{what} lookup failed: index error: UUID must be {WHOLE} characters");
        return Err(Problem::bad_request(problem));
    }
    text.parse().map_err(|_| Problem::not_found(what))
}

#[cfg(test)]
mod tests {
    use holdfast_shared::id::NodeId;

    use super::*;

    #[test]
    fn a_prefix_is_the_range_of_the_ids_that_begin_with_it() {
        let id: NodeId = "6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c".parse().unwrap();
        for end in 0..=36 {
            assert!(
                range(&id.to_string()[..end]).unwrap().contains(&{ id.0 }),
                "{end}"
            );
        }
        for other in ["7", "6a5ac2bb", "6a5ac2ba-8ebc"] {
            assert!(!range(other).unwrap().contains(&{ id.0 }), "{other}");
        }
        for none in ["x", "6a5ac2ba8", "6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c0"] {
            assert_eq!(range(none), None, "{none}");
        }
    }
}
