//! How many tokens a picture takes.

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
}
