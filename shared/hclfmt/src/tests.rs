//! What the canonical format is, case by case; the real files are in `tests/corpus.rs`.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn formats(source: &str, expected: Expect) {
    let formatted = format(source);
    expected.assert_eq(&formatted);
    assert!(check(&formatted), "formatting twice changes nothing more");
}

#[test]
fn blocks_are_indented_and_assignments_aligned() {
    formats(
        "job \"web\" {\ntype=\"service\"\n  datacenters   = [\"dc1\",\"dc2\" ]\n\n      priority=50\ngroup \"g\" {\ncount=1\n}\n}\n",
        expect![[r#"
            job "web" {
              type        = "service"
              datacenters = ["dc1", "dc2"]

              priority = 50
              group "g" {
                count = 1
              }
            }
        "#]],
    );
}

#[test]
fn an_assignment_over_several_lines_aligns_with_nothing() {
    formats(
        "a = 1\nlonger = {\nkey = 1\nlonger_key=2\n}\nb=[\n1,\n2\n]\nshort=3\n",
        expect![[r"
            a = 1
            longer = {
              key        = 1
              longer_key = 2
            }
            b = [
              1,
              2
            ]
            short = 3
        "]],
    );
}

#[test]
fn comments_at_the_end_of_consecutive_lines_are_aligned() {
    formats(
        "# first\na=1 # one\nlong_name=22    // two\n\n  /* alone */\nb = 3 # three\n",
        expect![[r"
            # first
            a         = 1  # one
            long_name = 22 // two

            /* alone */
            b = 3 # three
        "]],
    );
}

#[test]
fn operators_are_set_apart_and_signs_are_not() {
    formats(
        "a=-1\nb=1-2*-3\nc=!x&&y||( z>=1 )\nd=x?1:2\ne=f( a ,b... )\ng=[for x in[1]:x if x!=2]\nh=a . b [ 0 ]\ni={}\nj={a=1}\n",
        expect![[r"
            a = -1
            b = 1 - 2 * -3
            c = !x && y || (z >= 1)
            d = x ? 1 : 2
            e = f(a, b...)
            g = [for x in [1] : x if x != 2]
            h = a.b[0]
            i = {}
            j = { a = 1 }
        "]],
    );
}

#[test]
fn texts_keep_their_blanks_and_template_sequences_lose_theirs() {
    formats(
        r#"a="x  ${ b . c }  %{ if d }y%{ endif } $${ no  } \"q\" ""#,
        expect![[r#"a = "x  ${b.c}  %{if d}y%{endif} $${ no  } \"q\" ""#]],
    );
}

#[test]
fn heredocs_are_kept_and_align_like_any_value() {
    formats(
        "t {\ndata=<<-EOH\n   {{ a }}\n x = {\n EOH\ndestination=\"x\"\n}\n",
        expect![[r#"
            t {
              data        = <<-EOH
               {{ a }}
             x = {
             EOH
              destination = "x"
            }
        "#]],
    );
}

#[test]
fn a_mark_and_line_ends_of_windows_are_kept() {
    assert_eq!(
        format("\u{feff}a=1\r\n b=<<E\r\n x\r\nE\r\n"),
        "\u{feff}a = 1\r\nb = <<E\r\n x\r\nE\r\n"
    );
}

#[test]
fn accents_take_no_column_of_their_own() {
    assert_eq!(format("e\u{301}=1\nab=2\n"), "e\u{301}  = 1\nab = 2\n");
}

#[test]
fn deep_nesting_and_long_names_do_not_square_the_size() {
    let deep = "[\n".repeat(100_000);
    assert!(format(&deep).len() < deep.len() * 600);
    let long = format!("{} = 1\n{}", "a".repeat(100_000), "b = 2\n".repeat(10_000));
    assert!(format(&long).len() < long.len() * 200);
}

/// The texts of a source without what formatting may change.
fn without_blanks(source: &str) -> String {
    source.chars().filter(|it| !matches!(it, ' ' | '\t')).collect()
}

proptest! {
    #[test]
    fn any_text_keeps_everything_but_its_blanks(source in "\\PC*") {
        prop_assert_eq!(without_blanks(&format(&source)), without_blanks(&source));
    }

    #[test]
    fn any_mix_of_tokens_keeps_everything_but_its_blanks(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..60)
    ) {
        let source = parts.concat();
        prop_assert_eq!(without_blanks(&format(&source)), without_blanks(&source));
    }
}

/// Pieces that open, close and interrupt each other.
const PARTS: &[&str] = &[
    "\"", "${", "%{~", "~}", "}", "{", "[", "]", "(", ")", "<<E\n", "<<-E\n", "E\n", "  E", "\n", "\r\n",
    "#c\n", "//c", "/*", "*/", "\\", "\\\"", "$${", "a", "a-b", " ", "\t", "=", "==", "=>", "-", "!",
    "1.5e3", "1.", "...", "::", ",", "é", "\u{200d}",
];
