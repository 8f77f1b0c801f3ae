//! Chat messages: roles, text, pictures and videos in data URLs.

use super::error::ApiError;
use super::limits::Limits;
use crate::image::{decode, decode_cost, decode_video, video_cost, RgbPicture, Sampling, Video};
use crate::text::{Message, Part};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::DecodePaddingMode;
use base64::{alphabet, Engine};
use serde_json::Value;

/// Decodes with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A conversation, its pictures and videos still encoded.
#[derive(Debug, Default)]
pub struct Chat {
    /// In order.
    pub messages: Vec<Message>,
    /// Files of the pictures in order of appearance, each with its place in the request.
    pub files: Vec<(String, Vec<u8>)>,
    /// The same of videos.
    pub videos: Vec<(String, Vec<u8>)>,
}

impl Chat {
    /// Reads `messages`.
    pub fn from_json(messages: Option<&Value>, limits: &Limits) -> Result<Chat, ApiError> {
        let list = messages.and_then(Value::as_array).filter(|list| !list.is_empty());
        let Some(list) = list else {
            return Err(ApiError::value("messages", "messages must be a list with at least one message"));
        };
        let mut chat = Chat::default();
        for (index, message) in list.iter().enumerate() {
            chat.message(&format!("messages[{index}]"), message, limits)?;
        }
        Ok(chat)
    }

    fn message(&mut self, at: &str, message: &Value, limits: &Limits) -> Result<(), ApiError> {
        let role = match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => "system",
            Some("user") => "user",
            Some("assistant") => "assistant",
            other => {
                let got = other.map_or("nothing".into(), |role| format!("{role:?}"));
                let what = format!("expected role system, developer, user or assistant, got {got}");
                return Err(ApiError::value(format!("{at}.role"), format!("{at}: {what}")));
            }
        };
        let content = match message.get("content") {
            Some(Value::String(text)) => vec![Part::Text { text: text.clone() }],
            Some(Value::Array(parts)) => {
                let part = |(index, part)| self.part(&format!("{at}.content[{index}]"), part, limits);
                parts.iter().enumerate().map(part).collect::<Result<_, _>>()?
            }
            Some(Value::Null) if role == "assistant" => vec![],
            _ => {
                let what = format!("{at}.content must be a text or a list of parts");
                return Err(ApiError::value(format!("{at}.content"), what));
            }
        };
        self.messages.push(Message { role: role.into(), content });
        Ok(())
    }

    fn part(&mut self, at: &str, part: &Value, limits: &Limits) -> Result<Part, ApiError> {
        match part.get("type").and_then(Value::as_str) {
            Some("text") => match part.get("text").and_then(Value::as_str) {
                Some(text) => Ok(Part::Text { text: text.into() }),
                None => Err(ApiError::value(format!("{at}.text"), format!("{at}.text must be a text"))),
            },
            Some(kind @ ("image_url" | "video_url")) => {
                let url = part.get(kind).and_then(|url| url.as_str().or_else(|| url.get("url")?.as_str()));
                let place = format!("{at}.{kind}.url");
                let Some(url) = url else {
                    return Err(ApiError::value(place, format!("{at}.{kind} must have a url")));
                };
                if kind == "video_url" {
                    self.video(place, url, limits)?;
                    return Ok(Part::Video);
                }
                self.picture(place, url, limits)?;
                Ok(Part::Image)
            }
            other => {
                let got = other.map_or("nothing".into(), |kind| format!("{kind:?}"));
                let what = format!("{at}: expected a part of type text, image_url or video_url, got {got}");
                Err(ApiError::value(format!("{at}.type"), what))
            }
        }
    }

    /// Takes the picture in a data URL.
    pub fn picture(&mut self, place: String, url: &str, limits: &Limits) -> Result<(), ApiError> {
        if self.files.len() == limits.max_images {
            let what = format!("at most {} pictures per request are accepted", limits.max_images);
            return Err(ApiError::value(place, what));
        }
        let file = data_url(url).map_err(|what| ApiError::invalid(&place, "invalid_image_url", what))?;
        self.files.push((place, file));
        Ok(())
    }

    /// Takes the animation in a data URL.
    fn video(&mut self, place: String, url: &str, limits: &Limits) -> Result<(), ApiError> {
        if self.videos.len() == limits.max_videos {
            let what = format!("at most {} video(s) per request are accepted", limits.max_videos);
            return Err(ApiError::value(place, what));
        }
        let file = data_url(url).map_err(|what| ApiError::invalid(&place, "invalid_video_url", what))?;
        self.videos.push((place, file));
        Ok(())
    }

    /// Bytes of all texts.
    pub fn text_bytes(&self) -> usize {
        let text = |part: &Part| match part {
            Part::Text { text } => text.len(),
            Part::Image | Part::Video => 0,
        };
        self.messages.iter().flat_map(|message| &message.content).map(text).sum()
    }

    /// Decodes the pictures, after their headers have promised to be small enough together.
    pub fn pictures(&self, limits: &Limits) -> Result<Vec<RgbPicture>, ApiError> {
        let mut pixels = 0;
        for (place, file) in &self.files {
            pixels += decode_cost(file);
            if pixels > limits.max_pixels {
                let most = limits.max_pixels;
                let what = format!("the pictures have {pixels} pixels or more; at most {most} are accepted");
                return Err(ApiError::invalid(place, "image_too_large", what));
            }
        }
        let read = |(place, file): &(String, Vec<u8>)| {
            decode(file).map_err(|error| ApiError::invalid(place, "invalid_image", error.to_string()))
        };
        self.files.iter().map(read).collect()
    }

    /// Decodes the frames of the videos that the model is shown, after their blocks have promised to be few and small
    /// enough together.
    pub fn shown_videos(&self, sampling: &Sampling, limits: &Limits) -> Result<Vec<Video>, ApiError> {
        let (mut frames, mut pixels) = (0, self.files.iter().map(|(_, file)| decode_cost(file)).sum::<u64>());
        for (place, file) in &self.videos {
            let cost = video_cost(file, sampling)
                .map_err(|error| ApiError::invalid(place, "invalid_video", error.to_string()))?;
            (frames, pixels) = (frames + cost.frames, pixels + cost.pixels);
            if frames > limits.max_frames {
                let most = limits.max_frames;
                let what = format!("{frames} frames of videos would be shown; at most {most} are accepted");
                return Err(ApiError::invalid(place, "video_too_long", what));
            }
            if pixels > limits.max_pixels {
                let most = limits.max_pixels;
                let what = format!(
                    "pictures and the videos' frames up to the last one shown have {pixels} pixels or more; at most \
                     {most} are accepted"
                );
                return Err(ApiError::invalid(place, "video_too_large", what));
            }
        }
        let read = |(place, file): &(String, Vec<u8>)| {
            decode_video(file, sampling)
                .map_err(|error| ApiError::invalid(place, "invalid_video", error.to_string()))
        };
        self.videos.iter().map(read).collect()
    }
}

/// The bytes of `data:...;base64,...`.
fn data_url(url: &str) -> Result<Vec<u8>, String> {
    let Some(rest) = url.strip_prefix("data:") else {
        let scheme = url.split_once(':').map_or("no scheme", |(scheme, _)| scheme);
        let scheme: String = scheme.chars().take(16).collect();
        return Err(format!(
            "pictures and videos are taken from data URLs only (data:image/png;base64,...), and never fetched; got {scheme:?}"
        ));
    };
    let Some((kind, data)) = rest.split_once(',') else {
        return Err("the data URL has no comma".into());
    };
    if !kind.to_ascii_lowercase().ends_with(";base64") {
        return Err("the data URL must be base64: data:image/png;base64,...".into());
    }
    BASE64.decode(data.trim_end()).map_err(|error| format!("the data URL is not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Cursor;
    use std::time::Duration;

    pub fn limits() -> Limits {
        Limits {
            max_tokens: 16,
            max_images: 2,
            max_videos: 1,
            max_frames: 4,
            max_pixels: 100,
            max_tiles: 2,
            max_cycles: None,
            max_joules: None,
            max_device_seconds: None,
            time: Duration::from_secs(1),
            body_bytes: 1000,
            body_time: Duration::from_secs(1),
        }
    }

    fn image(url: &str) -> serde_json::Value {
        json!({"type": "image_url", "image_url": {"url": url}})
    }

    #[test]
    fn text_and_pictures_keep_their_order() {
        let parts = json!([{"type": "text", "text": "a"}, image("data:image/png;base64,AAA="), image("data:;BASE64,AA")]);
        let messages = json!([{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts},
            {"role": "assistant", "content": null}]);
        let chat = Chat::from_json(Some(&messages), &limits()).expect("chat");
        let roles: Vec<&str> = chat.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant"]);
        let text = Part::Text { text: "a".into() };
        assert_eq!(chat.messages[1].content, [text, Part::Image, Part::Image]);
        assert_eq!(chat.files[0].1, [0, 0]);
        assert_eq!((chat.files[1].1.len(), chat.text_bytes()), (1, 9));
    }

    #[test]
    fn every_malformed_message_names_its_place() {
        let three = json!([image("data:;base64,AA"), image("data:;base64,AA"), image("data:;base64,AA")]);
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        let film = json!({"type": "video_url", "video_url": "data:image/gif;base64,AA"});
        for (messages, param, word) in [
            (json!(null), "messages", "list"),
            (json!([]), "messages", "at least one"),
            (json!([5]), "messages[0].role", "nothing"),
            (json!([{"role": "tool", "content": "x"}]), "messages[0].role", "\"tool\""),
            (json!([{"role": "user"}]), "messages[0].content", "text"),
            (user(json!([{"type": "audio"}])), "messages[0].content[0].type", "audio"),
            (user(json!([{"type": "text", "text": 4}])), "messages[0].content[0].text", "text"),
            (user(json!([{"type": "image_url"}])), "messages[0].content[0].image_url.url", "url"),
            (
                user(json!([image("https://x.y/z.png")])),
                "messages[0].content[0].image_url.url",
                "never fetched",
            ),
            (user(json!([image("file:///etc/passwd")])), "messages[0].content[0].image_url.url", "\"file\""),
            (user(json!([image("data:image/png;base64")])), "messages[0].content[0].image_url.url", "comma"),
            (user(json!([image("data:image/png,x")])), "messages[0].content[0].image_url.url", "base64"),
            (user(json!([image("data:;base64,!!")])), "messages[0].content[0].image_url.url", "base64"),
            (user(three), "messages[0].content[2].image_url.url", "at most 2"),
            (user(json!([{"type": "video_url"}])), "messages[0].content[0].video_url.url", "url"),
            (
                user(json!([{"type": "video_url", "video_url": {"url": "http://x/y.mp4"}}])),
                "messages[0].content[0].video_url.url",
                "never fetched",
            ),
            (user(json!([film, film])), "messages[0].content[1].video_url.url", "at most 1"),
        ] {
            let error = Chat::from_json(Some(&messages), &limits()).expect_err(&messages.to_string());
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
            assert!(error.message.contains(word), "{word}: {}", error.message);
        }
    }

    /// A GIF of `frames` frames of 3 x 2 pixels.
    fn animation(frames: usize) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut file);
        for _ in 0..frames {
            encoder.encode_frame(image::Frame::new(image::RgbaImage::new(3, 2))).expect("a frame");
        }
        drop(encoder);
        file
    }

    #[test]
    fn videos_are_bounded_before_anything_is_decoded() {
        let of = |files: Vec<Vec<u8>>, sampling: Sampling| {
            let videos = files.into_iter().enumerate().map(|(at, file)| (format!("v{at}"), file)).collect();
            let chat = Chat { videos, ..Chat::default() };
            chat.shown_videos(&sampling, &limits()).map_err(|error| (error.code, error.param, error.message))
        };
        let four = Sampling::Count(4);
        assert_eq!(of(vec![animation(8)], four).expect("four frames")[0].frames.len(), 4);
        let refused = |files, sampling| of(files, sampling).map(|_| ()).expect_err("too much");
        assert_eq!(refused(vec![animation(8)], Sampling::Count(5)).0, "video_too_long");
        let (code, place, what) = refused(vec![animation(2), animation(2)], Sampling::Count(3));
        assert_eq!((code, place.as_deref()), ("video_too_long", Some("v1")), "{what}");
        // Frames 0, 6, 12, 18: nineteen are decoded, of six pixels each.
        let (code, _, what) = refused(vec![animation(24)], four);
        assert_eq!(code, "video_too_large");
        assert!(what.contains("114 pixels"), "{what}");
        assert_eq!(refused(vec![b"\x89PNG\r\n\x1a\n".to_vec()], four).0, "invalid_video");
    }

    #[test]
    fn pixels_count_together_before_anything_is_decoded() {
        let mut file = Cursor::new(Vec::new());
        image::RgbImage::new(8, 8).write_to(&mut file, image::ImageFormat::Png).expect("PNG");
        let files =
            vec![("first".to_owned(), file.get_ref().clone()), ("second".to_owned(), file.into_inner())];
        let chat = Chat { files, ..Chat::default() };
        let error = chat.pictures(&limits()).expect_err("128 pixels");
        assert_eq!((error.code, error.param.as_deref()), ("image_too_large", Some("second")));
        let chat = Chat { files: vec![("first".into(), b"not a picture".to_vec())], ..Chat::default() };
        assert_eq!(chat.pictures(&limits()).expect_err("text").code, "invalid_image");
    }
}
