//! What one request may ask for, and the price it is admitted at.

use super::error::ApiError;
use crate::profile::CostModel;
use crate::prompt::Prompt;
use axum::http::StatusCode;
use std::time::Duration;

/// Bounds of a request. Prices are predicted by the cost model before the request is admitted.
#[derive(Clone, Debug)]
pub struct Limits {
    /// New tokens.
    pub max_tokens: usize,
    /// Pictures.
    pub max_images: usize,
    /// Videos.
    pub max_videos: usize,
    /// Frames of all videos together that the model is shown.
    pub max_frames: usize,
    /// Pixels of all pictures and of all frames that are decoded, together, as headers say.
    pub max_pixels: u64,
    /// Tiles that the processors make of them.
    pub max_tiles: usize,
    /// Device cycles.
    pub max_cycles: Option<u64>,
    /// Joules, likely value of the model.
    pub max_joules: Option<f64>,
    /// Seconds on the target, whatever a simulator takes for them.
    pub max_device_seconds: Option<f64>,
    /// From the request to the end of its answer.
    pub time: Duration,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// For the body to arrive.
    pub body_time: Duration,
}

/// New tokens of a request that does not say how many.
const DEFAULT_TOKENS: usize = 256;

impl Limits {
    /// Whether something has a price.
    pub fn priced(&self) -> bool {
        self.max_cycles.is_some() || self.max_joules.is_some() || self.max_device_seconds.is_some()
    }

    /// The cycles that a request may take on a target of this clock.
    pub fn cycles(&self, clock_mhz: u32) -> Option<u64> {
        let seconds = self.max_device_seconds.map(|s| (s * f64::from(clock_mhz) * 1e6) as u64);
        self.max_cycles.into_iter().chain(seconds).min()
    }

    /// New tokens that an admitted request gets; `asked` as in the request.
    pub fn admit(
        &self,
        prompt: &Prompt,
        context: usize,
        asked: Option<usize>,
        cost: Option<&CostModel>,
    ) -> Result<usize, ApiError> {
        let tiles = prompt.images.iter().map(|picture| picture.tiles.len()).sum();
        if tiles > self.max_tiles {
            let what = format!("the pictures give {tiles} tiles; at most {} are accepted", self.max_tiles);
            return Err(ApiError::value("messages", what));
        }
        if let Some(asked) = asked.filter(|&asked| asked > self.max_tokens) {
            let what = format!("max_tokens is {asked}; this server gives at most {}", self.max_tokens);
            return Err(ApiError::value("max_tokens", what));
        }
        let rows = prompt.ids.len();
        // The last token of an answer needs no position.
        let room = (context + 1).saturating_sub(rows).max(1);
        let wanted = asked.unwrap_or(DEFAULT_TOKENS.min(self.max_tokens)).min(room);
        let Some(cost) = cost.filter(|_| self.priced()) else {
            return Ok(wanted);
        };
        let fits = |price: &crate::profile::Cost| {
            self.max_cycles.is_none_or(|most| price.cycles <= most)
                && self.max_joules.is_none_or(|most| price.joules.mid <= most)
                && self.max_device_seconds.is_none_or(|most| price.seconds <= most)
        };
        let affordable = cost.affordable(tiles, rows, wanted, fits);
        match (affordable, asked) {
            (Some(tokens), None) => Ok(tokens),
            (Some(tokens), Some(_)) if tokens == wanted => Ok(tokens),
            _ => Err(self.too_expensive(cost, tiles, rows, wanted, affordable)),
        }
    }

    fn too_expensive(
        &self,
        cost: &CostModel,
        tiles: usize,
        rows: usize,
        wanted: usize,
        affordable: Option<usize>,
    ) -> ApiError {
        let price = cost.predict(tiles, rows, wanted);
        let mut limits = Vec::new();
        limits.extend(self.max_cycles.map(|most| format!("{most} cycles")));
        limits.extend(self.max_joules.map(|most| format!("{most} J")));
        limits.extend(self.max_device_seconds.map(|most| format!("{most} s on the device")));
        let advice = match affordable {
            Some(tokens) => format!("with max_tokens {tokens} it is accepted"),
            None => "shorten the prompt or send fewer pictures".into(),
        };
        let what = format!(
            "{rows} prompt tokens and {wanted} new ones may take {} cycles, {:.6} s on the device and {:.3} J (predicted); a \
             request may take {}; {advice}",
            price.cycles,
            price.seconds,
            price.joules.mid,
            limits.join(" and "),
        );
        let error = ApiError::new(StatusCode::BAD_REQUEST, "request_too_expensive", what);
        ApiError { param: Some("max_tokens".into()), ..error }
    }
}
