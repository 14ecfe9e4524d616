//! Tokens to a tree, by recursive descent: one function per rule of the grammar.

use std::ops::Bound;

use super::expr::{Column, Expr, Node, Test, Value, Vocabulary};
use super::lexer::{self, At, Token};
use super::number::Number;
use super::syntax_error;
use crate::types::FieldName;
use crate::{Error, Result, limits};

/// Reads the filter language; text without anything but blanks is `None`.
///
/// ```text
/// filter   := or_expr
/// or_expr  := and_expr ( ("||" | "OR")  and_expr )*
/// and_expr := unary    ( ("&&" | "AND") unary )*
/// unary    := ("!" | "NOT") unary | primary
/// primary  := "(" or_expr ")" | field ":" operand
/// operand  := range | value | "(" value ( ("||" | "OR") value )* ")"
/// range    := ("[" | "{") bound "TO" bound ("]" | "}")
/// bound    := "*" | number
/// value    := '"' quoted '"' | bare | "*"
/// field    := [A-Za-z0-9_-]{1,36}
/// bare     := one or more characters other than blanks and ( ) [ ] { } : " & | !
/// ```
/// In quoted text a backslash makes the next character an ordinary one. Keywords are words in upper case; where a
/// value or (before a colon) a field is expected they are that.
///
/// Errors are [`crate::Kind::InvalidArgument`] and point at the place: syntax, more than
/// [`limits::FILTER_CHARS_MAX`] characters, nested deeper than [`limits::FILTER_DEPTH_MAX`], an empty text as value.
pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Option<Expr>> {
    let n_chars = text.chars().count();
    if n_chars > limits::FILTER_CHARS_MAX {
        let message = format!("filter has {n_chars} characters, expected at most {}", limits::FILTER_CHARS_MAX);
        return Err(Error::invalid("filter", message));
    }
    let tokens = lexer::tokens(text)?;
    if tokens.len() == 1 {
        return Ok(None);
    }
    let mut parser = Parser { tokens, next_idx: 0, depth: 0, vocabulary };
    let root = parser.or_expr()?;
    match parser.peek() {
        Token::End => Ok(Some(Expr { root, read_face_id: vocabulary.face_id.1 })),
        _ => Err(parser.expected("`&&`, `||` or the end")),
    }
}

struct Parser<'a> {
    /// Ends with [`Token::End`], which is never passed.
    tokens: Vec<(Token<'a>, At)>,
    next_idx: usize,
    /// Parentheses and negations around the next token.
    depth: usize,
    vocabulary: &'a Vocabulary,
}

impl Parser<'_> {
    fn or_expr(&mut self) -> Result<Node> {
        self.chain(Token::Or, "OR", Self::and_expr, Node::AnyOf)
    }

    fn and_expr(&mut self) -> Result<Node> {
        self.chain(Token::And, "AND", Self::unary, Node::Every)
    }

    fn chain(
        &mut self,
        operator: Token<'static>,
        keyword: &str,
        part: fn(&mut Self) -> Result<Node>,
        together: fn(Vec<Node>) -> Node,
    ) -> Result<Node> {
        let first = part(self)?;
        let mut parts = vec![first];
        while *self.peek() == operator || *self.peek() == Token::Word(keyword) {
            self.advance();
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { together(parts) })
    }

    fn unary(&mut self) -> Result<Node> {
        let negated = match self.peek() {
            Token::Not => true,
            Token::Word("NOT") => self.tokens[self.next_idx + 1].0 != Token::Colon,
            _ => false,
        };
        if !negated {
            return self.primary();
        }
        self.deeper()?;
        let part = self.unary()?;
        self.depth -= 1;
        Ok(Node::Not(Box::new(part)))
    }

    fn primary(&mut self) -> Result<Node> {
        if *self.peek() == Token::Open {
            self.deeper()?;
            let inner = self.or_expr()?;
            self.take(Token::Close, "`&&`, `||` or `)`")?;
            self.depth -= 1;
            return Ok(inner);
        }
        let at = self.at();
        let column = match self.peek() {
            Token::Word(word) => self.column(word)?,
            _ => return Err(self.expected("a field name, `(` or `!`")),
        };
        self.advance();
        self.take(Token::Colon, "`:` and a value after the field name")?;
        let test = self.operand()?;
        Ok(Node::Test { column, at, test })
    }

    fn column(&self, word: &str) -> Result<Column> {
        if word == self.vocabulary.subject {
            return Ok(Column::Subject(self.vocabulary.subject));
        }
        if word == self.vocabulary.face_id.0 {
            return Ok(Column::FaceId(self.vocabulary.face_id.0));
        }
        match FieldName::new(word) {
            Ok(name) => Ok(Column::Field(name.as_str().to_owned())),
            Err(_) => Err(self.expected("a field name of 1 to 36 of A-Z a-z 0-9 _ -")),
        }
    }

    fn operand(&mut self) -> Result<Test> {
        match self.peek() {
            Token::OpenBracket | Token::OpenBrace => self.range(),
            Token::Open => {
                self.deeper()?;
                let mut values = vec![self.value()?];
                while matches!(self.peek(), Token::Or | Token::Word("OR")) {
                    self.advance();
                    values.push(self.value()?);
                }
                self.take(Token::Close, "`||` or `)`")?;
                self.depth -= 1;
                Ok(Test::OneOf(values))
            }
            _ => Ok(Test::OneOf(vec![self.value()?])),
        }
    }

    fn value(&mut self) -> Result<Value> {
        let at = self.at();
        let value = match self.peek() {
            Token::Word("*") => Value::Any,
            Token::Word(word) => Value::Text((*word).to_owned(), at),
            Token::Quoted(text) if text.is_empty() => {
                return Err(syntax_error(at, "an empty text is never stored, expected 1 to 256 characters"));
            }
            Token::Quoted(text) => Value::Text(text.clone(), at),
            _ => return Err(self.expected("a value or a range")),
        };
        self.advance();
        Ok(value)
    }

    fn range(&mut self) -> Result<Test> {
        let at = self.at();
        let includes_lower = *self.peek() == Token::OpenBracket;
        self.advance();
        let lower = self.number()?;
        self.take(Token::Word("TO"), "`TO`")?;
        let upper = self.number()?;
        let includes_upper = match self.peek() {
            Token::CloseBracket => true,
            Token::CloseBrace => false,
            _ => return Err(self.expected("`]` or `}`")),
        };
        self.advance();
        Ok(Test::Between { lower: bound(lower, includes_lower), upper: bound(upper, includes_upper), at })
    }

    /// `None` for an open end.
    fn number(&mut self) -> Result<Option<Number>> {
        let number = match self.peek() {
            Token::Word("*") => Some(None),
            Token::Word(word) => Number::parse(word).map(Some),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected("a number or `*`"))?;
        self.advance();
        Ok(number)
    }

    fn peek(&self) -> &Token<'_> {
        &self.tokens[self.next_idx].0
    }

    fn at(&self) -> At {
        self.tokens[self.next_idx].1
    }

    fn advance(&mut self) {
        self.next_idx = (self.next_idx + 1).min(self.tokens.len() - 1);
    }

    fn take(&mut self, token: Token<'static>, expected: &str) -> Result<()> {
        if *self.peek() != token {
            return Err(self.expected(expected));
        }
        self.advance();
        Ok(())
    }

    fn expected(&self, expected: &str) -> Error {
        syntax_error(self.at(), &format!("expected {expected}, found {}", self.peek()))
    }

    /// Steps over a parenthesis or negation. The bound keeps the recursion here and in every later walk shallow.
    fn deeper(&mut self) -> Result<()> {
        if self.depth == limits::FILTER_DEPTH_MAX {
            let message = format!("parentheses and negations nest deeper than {}", limits::FILTER_DEPTH_MAX);
            return Err(syntax_error(self.at(), &message));
        }
        self.depth += 1;
        self.advance();
        Ok(())
    }
}

fn bound(number: Option<Number>, included: bool) -> Bound<Number> {
    match number {
        None => Bound::Unbounded,
        Some(number) if included => Bound::Included(number),
        Some(number) => Bound::Excluded(number),
    }
}
