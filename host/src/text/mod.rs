//! Words to token ids and back.
//!
//! A request goes `ChatTemplate::render` (messages to one string with `<image>` placeholders) ->
//! `expand_placeholders` (each placeholder becomes its picture's text) ->
//! `Tokenizer::encode`. On the way out, [`TokenStream`] turns ids into text without ever printing
//! half a character, and [`StopStrings`] ends the text at agreed words.
//!
//! Everything follows what the checkpoint's own files say; the reference is the `LlavaProcessor`
//! and `apply_chat_template` of transformers 5.
//!
//! What this module does not know: pixels, devices, sampling.

mod picture;
mod placeholder;
mod special;
mod stop;
mod stream;
mod template;
mod tokenizer;

pub use picture::{expand_placeholders, lines_before_start, pictures_before_start, PictureText};
pub use placeholder::ImageTokens;
pub use special::SpecialTokens;
pub use stop::StopStrings;
pub use stream::TokenStream;
pub use template::{ChatTemplate, Message, Part};
pub use tokenizer::Tokenizer;

/// What can be wrong with a checkpoint's text files, or with a prompt.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file does not parse.
    #[error("{file} cannot be read: {message}")]
    File {
        /// File name inside the checkpoint.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// The chat template failed on these messages.
    #[error("the chat template failed: {0}")]
    Template(String),
    /// Placeholders and pictures do not match in number.
    #[error(
        "the prompt has {placeholders} {token} placeholder(s) for {shown} picture(s) or video(s); give one \
         per placeholder, or leave the placeholders out to have them added"
    )]
    ImageCount {
        /// The placeholder's spelling.
        token: String,
        /// How many the rendered prompt has.
        placeholders: usize,
        /// How many pictures or videos came with it.
        shown: usize,
    },
    /// The tokenizer has no token for pictures.
    #[error("the tokenizer has no token {0:?}, so this checkpoint cannot take images")]
    NoImageToken(String),
    /// The tokenizer refused the text or an id.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
}
