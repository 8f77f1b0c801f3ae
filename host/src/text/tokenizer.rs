//! `tokenizer.json`.

use super::TextError;
use std::sync::{Mutex, PoisonError};

/// A tokenizer loaded from the bytes of `tokenizer.json`.
///
/// Padding and truncation settings in the file are switched off, as transformers does.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Parses `tokenizer.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        let failed = |message: String| TextError::File { file: "tokenizer.json".into(), message };
        // Plain syntax faults are found here, with their line.
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| failed(error.to_string()))?;
        let tokenizer = quietly(|| -> Result<Self, String> {
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
            inner.with_padding(None);
            inner.with_truncation(None).map_err(|error| error.to_string())?;
            let tokenizer = Tokenizer { inner };
            // A trial, so that contradictions inside the file show now and not in an answer.
            let ids = tokenizer.encode("A b\u{e9}\n", true).map_err(|error| error.to_string())?;
            tokenizer.decode(&ids).map_err(|error| error.to_string())?;
            Ok(tokenizer)
        });
        tokenizer
            .unwrap_or_else(|| Err("its parts contradict each other; save the model again".into()))
            .map_err(failed)
    }

    /// Text to ids. `add_special` lets the file's post-processor add its begin or end tokens.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TextError> {
        let encoding = self
            .inner
            .encode_fast(text, add_special)
            .map_err(|error| TextError::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids to text, special tokens left out. Broken UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner.decode(ids, true).map_err(|error| TextError::Tokenizer(error.to_string()))
    }

    /// The id of a token by its exact spelling in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The spelling of an id in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Entries, added tokens included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Runs library code that panics on some damaged files; `None` when it did.
///
/// The panic message is kept off standard error by swapping the hook, which is process-wide: a
/// panic of another thread in the same moment would lose its message, not its exit code.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    result.ok()
}
