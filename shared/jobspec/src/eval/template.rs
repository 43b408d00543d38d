//! Templates: quoted strings and heredocs, with interpolations and directives.
//!
//! The tree is flattened into tokens first, because the rules for trimming (`~`) and for `<<-` go line by line
//! through the text, whatever directive a line belongs to.

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::template::{Directive, Element, HeredocTemplate, StringTemplate, Strip, Template};

use super::{Evaluated, Evaluator, Scope, span_of};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::types::Type;
use crate::value::Value;

/// One piece of a flattened template.
enum Token<'t> {
    Text(String),
    Value {
        expression: &'t Expression,
        span: Span,
    },
    If(&'t Expression),
    Else,
    EndIf,
    For {
        key: Option<&'t str>,
        value: &'t str,
        collection: &'t Expression,
    },
    EndFor,
}

/// How the text of a template is cut into tokens.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// One token of text between two marks.
    Quoted,
    /// One token of text a line.
    Heredoc,
}

struct Flattened<'t> {
    form: Form,
    tokens: Vec<Token<'t>>,
    /// Whether the last mark ended with `~}`.
    trim_next: bool,
}

impl<'t> Flattened<'t> {
    fn new(form: Form) -> Self {
        Self {
            form,
            tokens: Vec::new(),
            trim_next: false,
        }
    }

    fn elements(&mut self, elements: impl Iterator<Item = &'t Element>, is_nested: bool) {
        for element in elements {
            match element {
                Element::Literal(text) => self.text(text.value(), is_nested),
                Element::Interpolation(interpolation) => {
                    let span = interpolation.span().unwrap_or_default();
                    let token = Token::Value {
                        expression: &interpolation.expr,
                        span,
                    };
                    self.mark(interpolation.strip, token);
                }
                Element::Directive(directive) => self.directive(directive),
            }
        }
    }

    fn directive(&mut self, directive: &'t Directive) {
        match directive {
            Directive::If(directive) => {
                self.mark(directive.if_expr.strip, Token::If(&directive.if_expr.cond_expr));
                self.nested(&directive.if_expr.template);
                if let Some(else_expr) = &directive.else_expr {
                    self.mark(else_expr.strip, Token::Else);
                    self.nested(&else_expr.template);
                }
                self.mark(directive.endif_expr.strip, Token::EndIf);
            }
            Directive::For(directive) => {
                let intro = &directive.for_expr;
                let key = intro.key_var.as_ref().map(|name| name.as_str());
                let (value, collection) = (intro.value_var.as_str(), &intro.collection_expr);
                self.mark(
                    intro.strip,
                    Token::For {
                        key,
                        value,
                        collection,
                    },
                );
                self.nested(&intro.template);
                self.mark(directive.endfor_expr.strip, Token::EndFor);
            }
        }
    }

    fn nested(&mut self, template: &'t Template) {
        self.elements(template.iter(), true);
    }

    fn text(&mut self, text: &str, is_nested: bool) {
        // `hcl-edit` reads the inside of a directive as if it stood in a heredoc.
        let unescaped = if is_nested && self.form == Form::Quoted {
            unescape(text)
        } else {
            text.to_owned()
        };
        let pieces: Vec<&str> = match self.form {
            Form::Quoted => vec![unescaped.as_str()],
            Form::Heredoc => unescaped.split_inclusive('\n').collect(),
        };
        for piece in pieces {
            let piece = if std::mem::take(&mut self.trim_next) {
                piece.trim_start()
            } else {
                piece
            };
            self.tokens.push(Token::Text(piece.to_owned()));
        }
    }

    fn mark(&mut self, strip: Strip, token: Token<'t>) {
        if strip.strip_start()
            && let Some(Token::Text(text)) = self.tokens.last_mut()
        {
            text.truncate(text.trim_end().len());
        }
        self.tokens.push(token);
        self.trim_next = strip.strip_end();
    }

    /// The rule of `<<-`: takes the smallest indentation off every line; blank lines neither count nor change.
    fn dedent(&mut self) {
        let mut at_line_start = true;
        let mut smallest = usize::MAX;
        let mut indented = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let text = if let Token::Text(text) = token {
                Some(text.as_str())
            } else {
                None
            };
            if std::mem::take(&mut at_line_start) {
                match text {
                    Some(text) if text.trim_start().is_empty() && text.ends_with('\n') => {}
                    Some(text) => {
                        let indent = text.chars().take_while(|c| c.is_whitespace()).count();
                        smallest = smallest.min(indent);
                        indented.push(index);
                    }
                    None => smallest = 0,
                }
            }
            at_line_start = text.is_some_and(|text| text.ends_with('\n'));
        }
        for index in indented {
            if let Token::Text(text) = &mut self.tokens[index] {
                *text = text.chars().skip(smallest).collect();
            }
        }
    }
}

fn unescape(text: &str) -> String {
    // The parser that knows the escapes reads a string.
    let quoted = format!("\"{}\"", text.replace("${", "$${").replace("%{", "%%{"));
    match hcl_edit::parser::parse_expr(&quoted) {
        Ok(Expression::String(text)) => text.value().clone(),
        _ => text.to_owned(),
    }
}

impl Evaluator<'_> {
    pub(super) fn quoted(&self, template: &StringTemplate, scope: &Scope<'_>) -> Evaluated {
        let mut flattened = Flattened::new(Form::Quoted);
        flattened.elements(template.iter(), false);
        self.render(&flattened.tokens, scope)
    }

    pub(super) fn heredoc(&self, heredoc: &HeredocTemplate, scope: &Scope<'_>) -> Evaluated {
        let mut flattened = Flattened::new(Form::Heredoc);
        flattened.elements(heredoc.template.iter(), false);
        if heredoc
            .span()
            .is_some_and(|span| self.flush.contains(&span.start))
        {
            flattened.dedent();
        }
        self.render(&flattened.tokens, scope)
    }

    fn render(&self, tokens: &[Token<'_>], scope: &Scope<'_>) -> Evaluated {
        if let [Token::Value { expression, span }] = tokens {
            // A lone interpolation keeps its type.
            return self.interpolate(expression, span, scope);
        }
        let mut out = String::new();
        let end = self.render_until(tokens, 0, scope, Some(&mut out))?;
        debug_assert_eq!(end, tokens.len(), "directives are balanced by the parser");
        Ok(Value::String(out))
    }

    fn interpolate(&self, expression: &Expression, span: &Span, scope: &Scope<'_>) -> Evaluated {
        if Self::is_foreign(expression, scope) {
            // As it is written, blanks included.
            return Ok(Value::text(
                self.source.text[span.clone()]
                    .replace("${~", "${")
                    .replace("~}", "}"),
            ));
        }
        self.evaluate(expression, scope)
    }

    /// Renders from a token to the end of its directive, or of all; without `out` it only finds that end.
    fn render_until(
        &self,
        tokens: &[Token<'_>],
        from: usize,
        scope: &Scope<'_>,
        mut out: Option<&mut String>,
    ) -> Result<usize, Diagnostic> {
        let mut at = from;
        while let Some(token) = tokens.get(at) {
            match token {
                Token::Else | Token::EndIf | Token::EndFor => return Ok(at),
                Token::Text(text) => {
                    if let Some(out) = out.as_deref_mut() {
                        out.push_str(text);
                    }
                }
                Token::Value { expression, span } => {
                    if let Some(out) = out.as_deref_mut() {
                        out.push_str(&self.interpolated_text(expression, span, scope)?);
                    }
                }
                Token::If(condition) => {
                    let holds = out.is_some() && self.condition(condition, scope)?;
                    at = self.render_until(tokens, at + 1, scope, out.as_deref_mut().filter(|_| holds))?;
                    if matches!(tokens.get(at), Some(Token::Else)) {
                        at =
                            self.render_until(tokens, at + 1, scope, out.as_deref_mut().filter(|_| !holds))?;
                    }
                }
                Token::For {
                    key,
                    value,
                    collection,
                } => {
                    let body = at + 1;
                    at = self.render_until(tokens, body, scope, None)?;
                    if let Some(out) = out.as_deref_mut() {
                        for (k, v) in self.iterate(collection, scope)? {
                            let key = key.map(|name| (name.to_owned(), k)).into_iter();
                            let inner = scope.with(key.chain([((*value).to_owned(), v)]));
                            self.render_until(tokens, body, &inner, Some(out))?;
                        }
                    }
                }
            }
            at += 1;
        }
        Ok(at)
    }

    fn condition(&self, condition: &Expression, scope: &Scope<'_>) -> Result<bool, Diagnostic> {
        match Type::Bool.convert(self.evaluate(condition, scope)?) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(self.error(
                span_of(condition),
                "Null condition",
                "The condition value is null. Conditions must either be true or false.",
            )),
            Err(_) => Err(self.error(
                span_of(condition),
                "Incorrect condition type",
                "The condition expression must be of type bool.",
            )),
        }
    }

    fn interpolated_text(
        &self,
        expression: &Expression,
        span: &Span,
        scope: &Scope<'_>,
    ) -> Result<String, Diagnostic> {
        let value = self.interpolate(expression, span, scope)?;
        value.as_text().ok_or_else(|| {
            let detail = if value.is_null() {
                "The expression result is null. Cannot include a null value in a string template.".to_owned()
            } else {
                format!(
                    "Cannot include the given value in a string template: string required, but have {}.",
                    value.type_name()
                )
            };
            self.error(
                span_of(expression),
                "Invalid template interpolation value",
                detail,
            )
        })
    }
}
