//! Rows of a prompt, as `--hidden` names them.

use anyhow::{bail, Result};
use std::str::FromStr;

/// Which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Every one.
    All,
    /// By position; negative ones count from the end.
    At(Vec<i64>),
    /// Those of a token.
    Of(u32),
}

impl FromStr for Rows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected positions such as 0,5,-1 (negative from the end), all, or id=TOKEN".to_owned();
        if text == "all" {
            return Ok(Rows::All);
        }
        if let Some(id) = text.strip_prefix("id=") {
            return id.parse().map(Rows::Of).map_err(|_| wrong());
        }
        text.split(',')
            .map(|at| at.trim().parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()
            .map(Rows::At)
    }
}

impl Rows {
    /// Positions in a prompt, in the order in which they were named.
    pub(super) fn of(&self, ids: &[u32]) -> Result<Vec<usize>> {
        let rows = ids.len();
        match self {
            Rows::All => Ok((0..rows).collect()),
            Rows::Of(id) => {
                let found: Vec<usize> = (0..rows).filter(|at| ids[*at] == *id).collect();
                if found.is_empty() {
                    bail!("--hidden: token {id} is not among the {rows} tokens of the prompt");
                }
                Ok(found)
            }
            Rows::At(list) => {
                let at = |p: &i64| {
                    let from_start = if *p < 0 { rows as i64 + p } else { *p };
                    let found = usize::try_from(from_start).ok().filter(|at| *at < rows);
                    found.ok_or_else(|| {
                        anyhow::anyhow!("--hidden: the prompt has {rows} tokens, there is no position {p}")
                    })
                };
                list.iter().map(at).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_position_or_token() {
        let of = |text: &str| text.parse::<Rows>().expect(text).of(&[7, 8, 7]).map_err(|e| e.to_string());
        assert_eq!(of("all"), Ok(vec![0, 1, 2]));
        assert_eq!(of("-1, 0"), Ok(vec![2, 0]));
        assert_eq!(of("id=7"), Ok(vec![0, 2]));
        assert!(of("3").unwrap_err().contains("3 tokens") && of("-4").unwrap_err().contains("position -4"));
        assert!(of("id=9").unwrap_err().contains("token 9"));
        for wrong in ["", "x", "1,,2", "id=", "id=-1"] {
            assert!(wrong.parse::<Rows>().unwrap_err().contains("expected positions"), "{wrong}");
        }
    }
}
