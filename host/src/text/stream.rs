//! Token ids to text, one at a time, never splitting a character.

use super::{TextError, Tokenizer};

/// After so many tokens without a whole character, the bytes are taken to be garbage and shown as
/// U+FFFD. UTF-8 needs at most four bytes, one token each.
const MAX_HELD_TOKENS: usize = 4;

/// An incremental detokeniser.
///
/// Some decoders strip a leading space or merge neighbouring pieces, so a token's text depends on
/// the tokens before it: each call decodes the last whole piece together with the new ids and
/// returns what was added. Text that ends in an incomplete character is held back.
pub struct TokenStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// `ids[..shown]` has been returned.
    shown: usize,
    /// `ids[context..shown]` is decoded again as left context.
    context: usize,
}

impl<'a> TokenStream<'a> {
    /// A stream that has seen nothing.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        TokenStream { tokenizer, ids: Vec::new(), shown: 0, context: 0 }
    }

    /// Adds an id and returns the text that is now certain, which may be empty.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        self.ids.push(id);
        let (fresh, whole) = self.pending()?;
        if !whole && self.ids.len() - self.shown < MAX_HELD_TOKENS {
            return Ok(String::new());
        }
        if !fresh.is_empty() {
            self.context = self.shown;
            self.shown = self.ids.len();
        }
        Ok(fresh)
    }

    /// Ends the stream and returns what was held back; incomplete characters as U+FFFD.
    pub fn finish(&mut self) -> Result<String, TextError> {
        let rest = self.pending()?.0;
        self.context = self.ids.len();
        self.shown = self.ids.len();
        Ok(rest)
    }

    /// The text after `shown`, and whether it ends in a whole character.
    fn pending(&self) -> Result<(String, bool), TextError> {
        let before = self.tokenizer.decode(&self.ids[self.context..self.shown])?;
        let all = self.tokenizer.decode(&self.ids[self.context..])?;
        // A decoder may repair earlier bytes; then the common part is the best left context.
        let common = before
            .chars()
            .zip(all.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum::<usize>();
        Ok((all[common..].to_owned(), !all.ends_with('\u{FFFD}')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte-fallback tokenizer: a few words and all bytes, decoded as Llama's tokenizer does.
    fn byte_fallback() -> Tokenizer {
        let mut vocab = serde_json::Map::new();
        for token in ["<unk>", "▁a", "▁dog", "s"] {
            vocab.insert(token.into(), vocab.len().into());
        }
        for byte in 0..=255u8 {
            vocab.insert(format!("<0x{byte:02X}>"), vocab.len().into());
        }
        let json = serde_json::json!({
            "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "truncation": null, "padding": null,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>",
                "byte_fallback": true, "fuse_unk": true},
        });
        Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
    }

    fn bytes(text: &[u8]) -> Vec<u32> {
        text.iter().map(|&byte| 4 + u32::from(byte)).collect()
    }

    #[test]
    fn spaces_between_words_survive() {
        let tokenizer = byte_fallback();
        let mut stream = TokenStream::new(&tokenizer);
        let pieces: Vec<String> = [1, 2, 3].iter().map(|&id| stream.push(id).unwrap()).collect();
        assert_eq!(pieces, ["a", " dog", "s"]);
        assert_eq!(stream.finish().unwrap(), "");
    }

    #[test]
    fn characters_split_over_tokens_come_out_whole() {
        let tokenizer = byte_fallback();
        for text in ["é", "€", "🦀", "a€🦀é!", "日本"] {
            let mut stream = TokenStream::new(&tokenizer);
            let mut out = String::new();
            for id in bytes(text.as_bytes()) {
                let piece = stream.push(id).unwrap();
                assert!(!piece.contains('\u{FFFD}'), "{text}: {piece:?}");
                out.push_str(&piece);
            }
            out.push_str(&stream.finish().unwrap());
            assert_eq!(out, text);
        }
    }

    #[test]
    fn mixed_words_and_bytes() {
        let tokenizer = byte_fallback();
        let mut stream = TokenStream::new(&tokenizer);
        let mut ids = vec![1, 2];
        ids.extend(bytes("🦀".as_bytes()));
        ids.extend([2, 3]);
        let out: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        assert_eq!(out, "a dog🦀 dogs");
    }

    #[test]
    fn an_unfinished_character_is_marked_at_the_end() {
        let tokenizer = byte_fallback();
        let mut stream = TokenStream::new(&tokenizer);
        assert_eq!(stream.push(1).unwrap(), "a");
        for id in bytes(&"🦀".as_bytes()[..3]) {
            assert_eq!(stream.push(id).unwrap(), "");
        }
        let rest = stream.finish().unwrap();
        assert!(!rest.is_empty() && rest.chars().all(|c| c == '\u{FFFD}'), "{rest:?}");
    }

    #[test]
    fn garbage_bytes_do_not_hold_the_stream_for_ever() {
        let tokenizer = byte_fallback();
        let mut stream = TokenStream::new(&tokenizer);
        let mut out = String::new();
        for id in bytes(&[0xFF; 12]) {
            out.push_str(&stream.push(id).unwrap());
        }
        assert!(out.chars().count() >= 4, "{out:?}");
        out.push_str(&stream.push(2).unwrap());
        assert!(out.ends_with(" dog"), "{out:?}");
    }
}
