//! Which frames of a video are shown.

/// A way of choosing frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// So many at equal distances, however long the video is (Video-LLaVA).
    Count(usize),
    /// As many as its length asks for (`Qwen2VLVideoProcessor.sample_frames`).
    Rate {
        /// Frames a second.
        per_second: f64,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
        /// Their number is a multiple of this, unless the video has fewer.
        multiple: usize,
    },
}

impl Sampling {
    /// Places of the shown frames of `total`, of which a second has `per_second`; `None`: frames that were chosen by
    /// somebody already, of which all are shown that may be.
    pub fn places(&self, total: usize, per_second: Option<f64>) -> Vec<usize> {
        let count = match *self {
            Sampling::Count(count) => count,
            Sampling::Rate { per_second: wanted, least, most, multiple } => match per_second {
                None => total.min(most),
                Some(per_second) => {
                    let most = most.min(total) / multiple * multiple;
                    let count = (total as f64 / per_second * wanted).max(least as f64).min(most as f64);
                    match count as usize / multiple * multiple {
                        0 => total.min(multiple),
                        count => count,
                    }
                }
            },
        };
        spread(total, count)
    }

    /// Seconds from one shown frame to the next, of `shown` of `total`.
    pub fn seconds(&self, shown: usize, total: usize, per_second: Option<f64>) -> f64 {
        match *self {
            Sampling::Count(_) => total as f64 / shown as f64 / per_second.unwrap_or(1.0),
            Sampling::Rate { per_second: wanted, .. } => {
                1.0 / (shown as f64 / total as f64 * per_second.unwrap_or(wanted))
            }
        }
    }
}

/// Places of `count` frames of `total`, as `torch.arange(0, total, total / count)` gives them in float32 and truncates.
fn spread(total: usize, count: usize) -> Vec<usize> {
    let step = total as f64 / count as f64;
    (0..count).map(|k| ((k as f64 * step) as f32 as usize).min(total - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_at_equal_distances() {
        assert_eq!(Sampling::Count(8).places(20, None), [0, 2, 5, 7, 10, 12, 15, 17]);
        assert_eq!(Sampling::Count(8).places(3, Some(5.0)), [0, 0, 0, 1, 1, 1, 2, 2]);
        let two = Sampling::Rate { per_second: 2.0, least: 4, most: 8, multiple: 2 };
        // 20 frames at 5 a second are four seconds long.
        assert_eq!(two.places(20, Some(5.0)), [0, 2, 5, 7, 10, 12, 15, 17]);
        assert_eq!(two.places(20, Some(10.0)), [0, 5, 10, 15]);
        assert_eq!(two.places(20, Some(20.0)), [0, 5, 10, 15]);
        assert_eq!(two.places(100, Some(5.0)).len(), 8);
        assert_eq!(two.places(3, Some(5.0)), [0, 1]);
        assert_eq!(two.places(1, Some(5.0)), [0]);
        assert_eq!(two.places(5, None), [0, 1, 2, 3, 4]);
        assert_eq!(two.places(16, None).len(), 8);
        assert_eq!((two.seconds(8, 20, Some(5.0)), two.seconds(5, 5, None)), (0.5, 0.5));
        assert_eq!(two.seconds(8, 16, None), 1.0);
    }
}
