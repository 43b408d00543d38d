//! Columns that line up, two blanks apart.

use std::fmt;

use super::NONE;

/// A table with a heading row. The last column is never padded.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
    empty: &'static str,
}

impl Table {
    /// A table with these columns; an empty cell shows as `<none>`.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            rows: vec![columns.into_iter().map(Into::into).collect()],
            empty: NONE,
        }
    }

    /// The same table, but an empty cell stays blank.
    pub fn with_blanks(self) -> Self {
        Self { empty: "", ..self }
    }

    /// Adds a row.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Adds many rows.
    pub fn rows<S: Into<String>, R: IntoIterator<Item = S>>(
        mut self,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        for row in rows {
            self.push(row);
        }
        self
    }

    /// Whether there is nothing below the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    fn cell<'a>(&self, cell: &'a str) -> &'a str {
        if cell.trim().is_empty() { self.empty } else { cell }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| self.cell(cell).chars().count())
                .max()
                .unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            for (column, cell) in row.iter().enumerate() {
                let cell = self.cell(cell);
                if column + 1 == row.len() {
                    f.write_str(cell)?;
                } else {
                    write!(f, "{cell:width$}  ", width = widths[column])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_cells_show_as_none() {
        let table =
            Table::new(["ID", "Class", "Status"]).rows([["ee3181d3", "", "ready"], ["x", "größer", "down"]]);
        assert_eq!(
            table.to_string(),
            "ID        Class   Status\nee3181d3  <none>  ready\nx         größer  down"
        );
    }

    #[test]
    fn a_table_with_blanks_keeps_an_empty_last_cell_empty() {
        let table = Table::new(["CPU", "Addresses"])
            .with_blanks()
            .rows([["50 MHz", ""]]);
        assert_eq!(table.to_string(), "CPU     Addresses\n50 MHz  ");
    }
}
