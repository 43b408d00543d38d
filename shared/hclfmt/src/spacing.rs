//! Blanks between two tokens of one line.

use crate::token::{Kind, Token};

/// Whether one blank separates `token` from `next`; `before` stands before `token` when something does.
pub(crate) fn is_apart(before: Option<Kind>, token: &Token<'_>, next: Kind) -> bool {
    use Kind::*;
    let this = token.kind;
    match (this, next) {
        (_, Newline) => false,
        // Calls, and the parts of a name.
        (Ident, OpenParen) | (Dot | DoubleColon, _) | (_, Dot | DoubleColon) => false,
        (_, Comma | Ellipsis) => false,
        (Comma, _) => true,
        // Text stays as it is.
        (QuotedText | HeredocText | OpenQuote | OpenHeredoc, _) => false,
        (_, QuotedText | HeredocText | CloseQuote | CloseHeredoc) => false,
        // `[for x in [1] : x]`: a list follows the word, not an index.
        (Ident, _) if token.text == "in" && before == Some(Ident) => true,
        (Ident | Number | CloseBrace | CloseBracket | CloseParen | CloseTemplate, OpenBracket) => false,
        (Bang, _) => false,
        (Minus, _) => before.is_some_and(|it| !is_before_operand(it)),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        // `${ {…} }`: an object inside a template sequence is kept apart from its braces.
        (OpenTemplate, OpenBrace) | (CloseBrace, CloseTemplate) => true,
        (CloseTemplate, OpenTemplate) => false,
        _ => this.nesting() <= 0 && next.nesting() >= 0,
    }
}

/// Whether a minus after this token is a sign, not a subtraction.
const fn is_before_operand(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        OpenParen
            | OpenBrace
            | OpenBracket
            | OpenTemplate
            | Equal
            | Colon
            | Comma
            | Question
            | Operator
            | Minus
            | Bang
    )
}
