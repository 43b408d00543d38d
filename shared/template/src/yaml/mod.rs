//! YAML, as far as templates and job files use it: block and flow collections, every kind of scalar, several
//! lines, comments. Not: anchors, tags, several documents. Shared by the template functions and the job language.

mod parse;
mod print;
mod scalar;

pub use parse::{YamlError, parse};
pub use print::{Quoting, print};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn collections_and_scalars_are_read() {
        for (text, value) in [
            ("a: 1\nb: [x, y]", json!({"a": 1, "b": ["x", true]})),
            (
                "a: 1\nb:\n  - x\n  - true\n  - 1.5\n  - null\n",
                json!({"a": 1, "b": ["x", true, 1.5, null]}),
            ),
            (
                "- a: 1\n  b: 2\n- - x\n  - z\n-\n  c: 3\n",
                json!([{"a": 1, "b": 2}, ["x", "z"], {"c": 3}]),
            ),
            ("a:\n- 1\n- 2\nb: 'it''s'\n", json!({"a": [1, 2], "b": "it's"})),
            (
                "a: |\n  x\n   y\n\n  z\nb: >-\n  one\n  two\n",
                json!({"a": "x\n y\n\nz\n", "b": "one two"}),
            ),
            (
                "{a: [1, {b: \"c: d\"}], e: }",
                json!({"a": [1, {"b": "c: d"}], "e": null}),
            ),
            (
                "# c\na: b # c\n\"q: r\": \"\\t\\u00e9\"\n",
                json!({"a": "b", "q: r": "\t\u{e9}"}),
            ),
            ("plain text\nover lines", json!("plain text over lines")),
            (
                "a: http://x:1/y#z\nt: 12:30\nh: 0x1f\nv: \"1\"",
                json!({"a": "http://x:1/y#z", "t": "12:30", "h": 31, "v": "1"}),
            ),
            ("", json!(null)),
            ("a: [1,\n  2]\nb: ~\n", json!({"a": [1, 2], "b": null})),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_named() {
        for (text, error) in [
            ("a: [1, 2", "line 1: the [ is not closed"),
            (
                "a: 1\n  b: 2",
                "line 2: this line is indented deeper than its neighbours",
            ),
            ("a: &x 1", "line 1: anchors, aliases and tags are not supported"),
            ("a: \"x", "line 1: the \" is not closed"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
            assert!(parse(&deep).is_err());
        }
    }

    #[test]
    fn values_are_printed_in_both_ways() {
        let value = json!({"b": 1, "a": [1, "x", {"k": true, "l": []}], "c": "t: x", "d": {"e": {}}, "f": "l1\nl2\n"});
        assert_eq!(
            print(&value, Quoting::Sparing),
            "a:\n- 1\n- x\n- k: true\n  l: []\nb: 1\nc: 't: x'\nd:\n  e: {}\nf: |\n  l1\n  l2\n"
        );
        assert_eq!(
            print(&value, Quoting::Always),
            "\"a\":\n- 1\n- \"x\"\n- \"k\": true\n  \"l\": []\n\"b\": 1\n\"c\": \"t: x\"\n\"d\":\n  \"e\": {}\n\"f\": |\n  l1\n  l2\n"
        );
        for text in ["", "true", "1", "- x", "a: b", " x", "null", "#x", "y"] {
            let printed = print(&json!(text), Quoting::Sparing);
            assert_eq!(parse(&printed).unwrap(), json!(text), "{printed}");
        }
    }
}
