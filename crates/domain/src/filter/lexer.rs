//! Text to tokens.

use super::syntax_error;
use crate::Result;
use crate::error::shortened;
use std::fmt;

/// The smallest parts of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Colon,
    And,
    Or,
    Not,
    /// Characters without a special meaning, standing together. Keywords are words too: only their place tells.
    Word(&'a str),
    /// Text in double quotes, without them and without its backslashes.
    Quoted(String),
    /// Behind the last character.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Open => f.write_str("`(`"),
            Token::Close => f.write_str("`)`"),
            Token::OpenBracket => f.write_str("`[`"),
            Token::CloseBracket => f.write_str("`]`"),
            Token::OpenBrace => f.write_str("`{`"),
            Token::CloseBrace => f.write_str("`}`"),
            Token::Colon => f.write_str("`:`"),
            Token::And => f.write_str("`&&`"),
            Token::Or => f.write_str("`||`"),
            Token::Not => f.write_str("`!`"),
            Token::Word(word) => write!(f, "`{}`", shortened(word)),
            Token::Quoted(text) => write!(f, "`\"{}\"`", shortened(text)),
            Token::End => f.write_str("the end"),
        }
    }
}

/// Place in the filter's text, in characters from 1. It takes no part in comparisons.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) usize);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Whether the character may stand in a word (grammar: `bare`).
pub(super) fn is_word_character(character: char) -> bool {
    !character.is_whitespace() && !r#"()[]{}:"&|!"#.contains(character)
}

/// Splits a text into tokens, each with its place; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, At)>> {
    let mut lexer = Lexer { rest: text, at: 1, tokens: Vec::new() };
    while let Some(character) = lexer.rest.chars().next() {
        lexer.step(character)?;
    }
    lexer.tokens.push((Token::End, At(lexer.at)));
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    /// Place of `rest` in the whole text, in characters from 1.
    at: usize,
    tokens: Vec<(Token<'a>, At)>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self, character: char) -> Result<()> {
        let token = match character {
            ' ' | '\t' | '\r' | '\n' => {
                self.advance(1);
                return Ok(());
            }
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::OpenBracket,
            ']' => Token::CloseBracket,
            '{' => Token::OpenBrace,
            '}' => Token::CloseBrace,
            ':' => Token::Colon,
            '!' => Token::Not,
            '&' if self.rest.starts_with("&&") => Token::And,
            '|' if self.rest.starts_with("||") => Token::Or,
            '&' => return Err(syntax_error(At(self.at), "expected `&&`, found a single `&`")),
            '|' => return Err(syntax_error(At(self.at), "expected `||`, found a single `|`")),
            '"' => return self.quoted(),
            _ => return self.word(),
        };
        let n_bytes = if matches!(token, Token::And | Token::Or) { 2 } else { 1 };
        self.tokens.push((token, At(self.at)));
        self.advance(n_bytes);
        Ok(())
    }

    fn word(&mut self) -> Result<()> {
        let end = self.rest.find(|character| !is_word_character(character)).unwrap_or(self.rest.len());
        if end == 0 {
            // Other blanks than the grammar's, such as a no-break space out of a word processor, are easily overlooked.
            return Err(syntax_error(At(self.at), "unexpected blank, expected space, tab or line break"));
        }
        self.tokens.push((Token::Word(&self.rest[..end]), At(self.at)));
        self.advance(end);
        Ok(())
    }

    fn quoted(&mut self) -> Result<()> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((byte_idx, character)) = characters.next() {
            match character {
                '"' => {
                    self.tokens.push((Token::Quoted(text), At(self.at)));
                    self.advance(byte_idx + 1);
                    return Ok(());
                }
                '\\' => match characters.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        Err(syntax_error(At(self.at), "quoted text without an end, expected a closing `\"`"))
    }

    fn advance(&mut self, n_bytes: usize) {
        let (passed, rest) = self.rest.split_at(n_bytes);
        self.at += passed.chars().count();
        self.rest = rest;
    }
}
