//! What stands in the prompt for a picture: placeholders, and the text that a family puts around them.

use super::TextError;
use flightvlm_compiler::graph::{Picture, VisualRow};

/// How a family writes its pictures into the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureText {
    /// Placeholders alone; the chat template writes what else there is.
    Plain,
    /// Idefics3, SmolVLM: every tile behind its row and column, the whole picture last.
    RowsAndColumns,
    /// InternVL: all tiles between two tags.
    Bracketed,
    /// PaliGemma: all placeholders in front of the text's first token, a line break behind the text.
    BeforeStart,
    /// Fuyu: the same with a line of placeholders for each line of patches, and an end of each; the text ends in a
    /// token of its own.
    LinesBeforeStart,
    /// NVLM: every tile behind its number, the whole picture last, all between two tags.
    Numbered,
    /// MiniCPM-V 2.6: the number of the picture, the whole of it, then its slices in lines, all between tags.
    Slices,
}

/// Words around the pictures of Idefics3 and SmolVLM.
const AROUND: &str = "<fake_token_around_image>";
const GLOBAL: &str = "<global-img>";
/// End of a line of patches, start and end of the text: words of Fuyu.
const LINE_END: &str = "|NEWLINE|";
const TEXT_START: &str = "<s>";
const ANSWER: &str = "<0x04>";

impl PictureText {
    /// The way of an architecture.
    pub fn of(architecture: &str) -> PictureText {
        match architecture {
            "Idefics3ForConditionalGeneration" | "SmolVLMForConditionalGeneration" => {
                PictureText::RowsAndColumns
            }
            "InternVLForConditionalGeneration" => PictureText::Bracketed,
            "PaliGemmaForConditionalGeneration" => PictureText::BeforeStart,
            "FuyuForCausalLM" => PictureText::LinesBeforeStart,
            "NVLM_D" | "NVLM_D_Model" => PictureText::Numbered,
            "MiniCPMV" | "MiniCPMV4_6ForConditionalGeneration" => PictureText::Slices,
            _ => PictureText::Plain,
        }
    }

    /// The text for the picture that is number `at` of the prompt, cut into `columns` x `rows` tiles, with `counts`
    /// visual tokens each.
    ///
    /// `counts` follows the tiles; pictures of one tile have a single one. `placeholder` is the
    /// spelling of one visual token.
    pub fn write(
        self,
        at: usize,
        placeholder: &str,
        [columns, rows]: [usize; 2],
        counts: &[usize],
    ) -> String {
        let tokens = |count: usize| placeholder.repeat(count);
        let all = || tokens(counts.iter().sum());
        let (last, tiles) = counts.split_last().map_or((0, &[][..]), |(last, tiles)| (*last, tiles));
        match self {
            PictureText::Plain | PictureText::BeforeStart | PictureText::LinesBeforeStart => all(),
            PictureText::Bracketed => format!("<img>{}</img>", all()),
            PictureText::Numbered => {
                let tile = |(i, count): (usize, &usize)| format!("<tile_{}>{}", i + 1, tokens(*count));
                let tiles: String = tiles.iter().enumerate().map(tile).collect();
                format!("<Image>{tiles}<tile_global_thumbnail>{}</Image>", tokens(last))
            }
            PictureText::Slices => {
                let (whole, slices) =
                    counts.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
                let slice = |count: &usize| format!("<slice>{}</slice>", tokens(*count));
                let line = |line: &[usize]| line.iter().map(slice).collect::<String>();
                let lines: Vec<String> = slices.chunks(columns.max(1)).map(line).collect();
                format!("<image_id>{at}</image_id><image>{}</image>{}", tokens(whole), lines.join("\n"))
            }
            PictureText::RowsAndColumns => {
                let mut text = String::new();
                for (i, count) in tiles.iter().enumerate() {
                    let (row, column) = (i / columns.max(1) + 1, i % columns.max(1) + 1);
                    text += &format!("{AROUND}<row_{row}_col_{column}>{}", tokens(*count));
                    if column == columns {
                        text.push('\n');
                    }
                }
                if rows * columns > 1 {
                    text.push('\n');
                }
                text + AROUND + GLOBAL + &tokens(last) + AROUND
            }
        }
    }

    /// The same for an arranged picture.
    pub fn of_picture(self, at: usize, placeholder: &str, grid: [usize; 2], picture: &Picture) -> String {
        if let (PictureText::LinesBeforeStart, Some(tile)) = (self, picture.tiles.first()) {
            return (placeholder.repeat(tile.grid[1]) + LINE_END).repeat(tile.grid[0]);
        }
        let learned = picture.rows.iter().any(|row| matches!(row, VisualRow::Learned(_)));
        let counts = picture.tile_tokens().filter(|_| !learned);
        let counts = counts.unwrap_or_else(|| vec![picture.placeholders()]);
        self.write(at, placeholder, grid, &counts)
    }
}

/// The prompt of a model without a template that wants its pictures in front: `text` without its
/// placeholders, behind the pictures and the start token.
pub fn pictures_before_start(text: &str, token: &str, pictures: &[String], start: &str) -> String {
    format!("{}{start}{}\n", pictures.concat(), without_placeholders(text, token))
}

/// The same for Fuyu.
pub fn lines_before_start(text: &str, token: &str, pictures: &[String]) -> String {
    format!("{}{TEXT_START}{}{ANSWER}", pictures.concat(), without_placeholders(text, token))
}

/// Placeholders go with the line break behind them; all else stays as it is.
fn without_placeholders(text: &str, token: &str) -> String {
    text.replace(&format!("{token}\n"), "").replace(token, "")
}

/// Puts `pictures[i]` in the place of the i-th placeholder.
///
/// Fails when the text does not hold exactly one placeholder per picture.
pub fn expand_placeholders(text: &str, token: &str, pictures: &[String]) -> Result<String, TextError> {
    let pieces: Vec<&str> = text.split(token).collect();
    if pieces.len() != pictures.len() + 1 {
        return Err(TextError::ImageCount {
            token: token.to_owned(),
            placeholders: pieces.len() - 1,
            shown: pictures.len(),
        });
    }
    let mut out = pieces[0].to_owned();
    for (picture, piece) in pictures.iter().zip(&pieces[1..]) {
        out.push_str(picture);
        out.push_str(piece);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_becomes_its_own_picture() {
        let pictures = ["aa".to_owned(), "b".to_owned()];
        let text = expand_placeholders("<image>\nA <image>c", "<image>", &pictures).unwrap();
        assert_eq!(text, "aa\nA bc");
        let error = expand_placeholders("none", "<image>", &pictures[..1]).unwrap_err().to_string();
        assert!(error.contains("0 <image> placeholder(s) for 1 picture(s)"), "{error}");
        assert!(expand_placeholders("<image>", "<image>", &[]).is_err());
    }

    #[test]
    fn tags_of_the_families() {
        let rows = PictureText::RowsAndColumns;
        let around = "<fake_token_around_image>";
        assert_eq!(rows.write(0, "x", [1, 1], &[2]), format!("{around}<global-img>xx{around}"));
        assert_eq!(
            rows.write(0, "x", [2, 1], &[1, 1, 1]),
            format!("{around}<row_1_col_1>x{around}<row_1_col_2>x\n\n{around}<global-img>x{around}")
        );
        let before = pictures_before_start("<image>\nwhat?", "<image>", &["xx".into()], "<bos>");
        assert_eq!(before, "xx<bos>what?\n");
        let tile = flightvlm_compiler::graph::Tile { grid: [2, 3], rows: Vec::new() };
        let picture = Picture { tiles: vec![tile], ..Picture::default() };
        let lines = PictureText::LinesBeforeStart.of_picture(0, "x", [1, 1], &picture);
        assert_eq!(lines, "xxx|NEWLINE|xxx|NEWLINE|");
        assert_eq!(
            lines_before_start("<image>\nwhat?", "<image>", &[lines]),
            "xxx|NEWLINE|xxx|NEWLINE|<s>what?<0x04>"
        );
        assert_eq!(PictureText::Bracketed.write(0, "x", [2, 1], &[1, 1, 1]), "<img>xxx</img>");
        assert_eq!(
            PictureText::Numbered.write(0, "x", [2, 1], &[1, 1, 1]),
            "<Image><tile_1>x<tile_2>x<tile_global_thumbnail>x</Image>"
        );
    }
}
