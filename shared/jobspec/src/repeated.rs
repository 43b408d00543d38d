//! The repair of repeated object keys.
//!
//! In `{ a = 1, a = 2 }` the last one wins, but `hcl-edit` refuses it. So the earlier item is blanked out, length for
//! length, and the file is parsed again.

use crate::syntax::tokens::{Kind, Token, tokenize};

/// The text without the earlier item of the key that starts at `offset`, if there is one.
pub(crate) fn blank_earlier(text: &str, offset: usize) -> Option<String> {
    let tokens = tokenize(text);
    let key = tokens.iter().position(|token| token.span.contains(&offset))?;
    let same = |token: &Token| unquoted(text, token) == unquoted(text, &tokens[key]);
    // Back through the items of the same object.
    let mut depth = 0_usize;
    let mut earlier = None;
    for (index, token) in tokens[..key].iter().enumerate().rev() {
        match token.kind {
            Kind::Close(_) => depth += 1,
            Kind::Open(_) if depth == 0 => break,
            Kind::Open(_) => depth -= 1,
            Kind::Name | Kind::String if depth == 0 && same(token) && is_key(text, &tokens, index) => {
                earlier = Some(index);
            }
            _ => {}
        }
    }
    let start = earlier?;
    let mut depth = 0_usize;
    let mut end = tokens[start].span.end;
    for token in &tokens[start..key] {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            Kind::Newline if depth == 0 => break,
            _ => {}
        }
        end = token.span.end;
        if depth == 0 && &text[token.span.clone()] == "," {
            break;
        }
    }
    let start = tokens[start].span.start;
    let blank: String = text[start..end]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    Some(format!("{}{blank}{}", &text[..start], &text[end..]))
}

fn unquoted<'t>(text: &'t str, token: &Token) -> &'t str {
    text[token.span.clone()].trim_matches('"')
}

/// Whether an `=` or `:` follows, and a separator or the opening brace stands before.
fn is_key(text: &str, tokens: &[Token], index: usize) -> bool {
    let follows = tokens
        .get(index + 1)
        .is_some_and(|next| next.kind == Kind::Equals || &text[next.span.clone()] == ":");
    let before = index.checked_sub(1).map(|before| &tokens[before]);
    let starts = before.is_some_and(|before| {
        matches!(before.kind, Kind::Open('{') | Kind::Newline) || &text[before.span.clone()] == ","
    });
    follows && starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_item_is_blanked() {
        for (text, blanked) in [
            ("x = { a = 1, a = 2 }", "x = {        a = 2 }"),
            (
                "x = {\n  a = [1,\n 2]\n  b = 1\n  \"a\" = 3\n}",
                "x = {\n         \n   \n  b = 1\n  \"a\" = 3\n}",
            ),
        ] {
            let key = text.rfind('a').unwrap_or(0);
            assert_eq!(blank_earlier(text, key).as_deref(), Some(blanked));
        }
        assert_eq!(blank_earlier("x = { b = { a = 1 }, a = 2 }", 21), None);
    }
}
