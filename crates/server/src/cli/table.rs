//! Columns for people: padded to the widest cell, without colour or lines.

/// Where a cell's text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The lines of a table: the header, then the rows. Every row has as many cells as there are columns.
pub(crate) fn lines(columns: &[(&str, Align)], rows: &[Vec<String>]) -> Vec<String> {
    let n_chars = |text: &str| text.chars().count();
    let width =
        |idx: usize| rows.iter().map(|row| n_chars(&row[idx])).chain([n_chars(columns[idx].0)]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).zip(columns).map(|((cell, width), (_, align))| {
            let space = " ".repeat(width - n_chars(cell));
            match align {
                Align::Left => format!("{cell}{space}"),
                Align::Right => format!("{space}{cell}"),
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let body = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    std::iter::once(line(&header)).chain(body).collect()
}

/// `n` things in words: `1 face`, `2 faces`.
pub(crate) fn counted(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let columns = [("name", Align::Left), ("faces", Align::Right)];
        let rows = [vec!["Zoë".to_owned(), "7".to_owned()], vec!["lobby".to_owned(), "123456".to_owned()]];
        assert_eq!(lines(&columns, &rows), ["name    faces", "Zoë         7", "lobby  123456"]);
    }
}
