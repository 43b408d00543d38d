//! Text in quotes, as Go's `%q` writes it.

/// `text` in double quotes, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\u{7}' => quoted += "\\a",
            '\u{8}' => quoted += "\\b",
            '\u{b}' => quoted += "\\v",
            '\u{c}' => quoted += "\\f",
            '\0'..='\u{1f}' | '\u{7f}' => quoted += &format!("\\x{:02x}", u32::from(character)),
            _ if is_printable(character) => quoted.push(character),
            _ if u32::from(character) <= 0xffff => quoted += &format!("\\u{:04x}", u32::from(character)),
            _ => quoted += &format!("\\U{:08x}", u32::from(character)),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character shows; blanks other than the plain one, and invisible marks, do not.
fn is_printable(character: char) -> bool {
    let is_blank = character != ' ' && character.is_whitespace();
    let is_mark = matches!(character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}');
    !(character.is_control() || is_blank || is_mark)
}
