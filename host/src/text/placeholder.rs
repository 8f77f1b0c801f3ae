//! How many tokens a picture takes, and putting them into the prompt.

use super::TextError;

/// The settings that `LlavaProcessor` counts image tokens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTokens {
    /// Side of a vision-tower patch in pixels.
    pub patch_size: usize,
    /// Tokens that the tower adds to the patches, such as CLIP's class token.
    pub additional: usize,
    /// The "default" feature strategy drops one token (the class token); "full" keeps all.
    pub drops_one: bool,
}

impl ImageTokens {
    /// Tokens for one processed picture of `height` x `width` pixels.
    pub fn count(&self, height: usize, width: usize) -> usize {
        let patches = (height / self.patch_size) * (width / self.patch_size);
        (patches + self.additional).saturating_sub(usize::from(self.drops_one))
    }
}

/// Repeats the i-th placeholder `counts[i]` times.
///
/// Fails when the text does not hold exactly one placeholder per picture.
pub fn expand_placeholders(text: &str, token: &str, counts: &[usize]) -> Result<String, TextError> {
    let pieces: Vec<&str> = text.split(token).collect();
    if pieces.len() != counts.len() + 1 {
        return Err(TextError::ImageCount {
            token: token.to_owned(),
            placeholders: pieces.len() - 1,
            images: counts.len(),
        });
    }
    let mut out = pieces[0].to_owned();
    for (&count, piece) in counts.iter().zip(&pieces[1..]) {
        out.push_str(&token.repeat(count));
        out.push_str(piece);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_published_models() {
        let llava = ImageTokens { patch_size: 14, additional: 1, drops_one: true };
        assert_eq!(llava.count(336, 336), 576);
        let siglip = ImageTokens { patch_size: 16, additional: 0, drops_one: false };
        assert_eq!(siglip.count(96, 96), 36);
        let full = ImageTokens { patch_size: 14, additional: 1, drops_one: false };
        assert_eq!(full.count(30, 30), 5);
    }

    #[test]
    fn each_placeholder_grows_by_its_own_count() {
        let text = expand_placeholders("<image>\nA <image>b", "<image>", &[2, 1]).unwrap();
        assert_eq!(text, "<image><image>\nA <image>b");
        let error = expand_placeholders("none", "<image>", &[4]).unwrap_err().to_string();
        assert!(error.contains("0 <image> placeholder(s) for 1 image(s)"), "{error}");
        assert!(expand_placeholders("<image>", "<image>", &[]).is_err());
    }
}
