//! What a source is made of, for formatting: tokens that keep their text, and the blanks before each.

/// One token. The texts of all tokens, without blanks, are the source without blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Blanks to write before it; formatting is nothing but choosing these.
    pub(crate) blanks: usize,
}

/// What a token is, as far as spacing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The end of a line.
    Newline,
    /// `#` and `//` with the end of their line, or `/* */`.
    Comment,
    Ident,
    Number,
    Equal,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParen,
    CloseParen,
    Comma,
    Dot,
    /// `::` between a namespace and its function.
    DoubleColon,
    Colon,
    Question,
    /// `...` after the last argument.
    Ellipsis,
    Bang,
    Minus,
    /// Any other operator.
    Operator,
    OpenQuote,
    CloseQuote,
    /// Text between quotes.
    QuotedText,
    /// `<<EOT` with the end of its line.
    OpenHeredoc,
    /// The closing word with the blanks before it.
    CloseHeredoc,
    /// Lines of a heredoc.
    HeredocText,
    /// `${` or `%{`, with `~` where it stands there.
    OpenTemplate,
    /// The `}` that ends what `OpenTemplate` began.
    CloseTemplate,
    /// A character that no rule of the language knows.
    Unknown,
}

impl Kind {
    /// How much deeper the source is nested after this token.
    pub(crate) const fn nesting(self) -> isize {
        match self {
            Self::OpenBrace | Self::OpenBracket | Self::OpenParen | Self::OpenTemplate => 1,
            Self::CloseBrace | Self::CloseBracket | Self::CloseParen | Self::CloseTemplate => -1,
            _ => 0,
        }
    }
}

impl Token<'_> {
    /// Whether a line of the source ends with this token. Heredocs count as one line with what is around them.
    pub(crate) fn ends_line(&self) -> bool {
        match self.kind {
            Kind::Newline => true,
            Kind::Comment => self.text.ends_with('\n'),
            _ => false,
        }
    }

    /// How many columns it takes, blanks included.
    pub(crate) fn columns(&self) -> usize {
        let mut joined = false;
        let mut columns = self.blanks;
        for character in self.text.chars() {
            if !joined && !extends_previous(character) {
                columns += 1;
            }
            joined = character == '\u{200d}';
        }
        columns
    }
}

/// Whether people see the character as part of the one before: accents, variation selectors, skin tones, joiners.
pub(crate) const fn extends_previous(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' | '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}')
}
