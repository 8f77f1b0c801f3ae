//! Ending the text at agreed strings.

/// Watches streamed text for stop strings, holding back what may be the start of one.
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Empty strings are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        StopStrings { stops, held: String::new(), stopped: false }
    }

    /// Adds text; returns what can be shown. After a stop string nothing more is.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop string has been seen.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What is still held when the text ends without a stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length in bytes of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest).rev().find(|&n| text.as_bytes().ends_with(&stop.as_bytes()[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_split_over_pieces_is_never_shown() {
        let mut stops = StopStrings::new(["\nUSER:".to_owned()]);
        assert_eq!(stops.push("a dog\nUS"), "a dog");
        assert_eq!(stops.push("A"), "\nUSA");
        assert_eq!(stops.push(".\nUSE"), ".");
        assert_eq!(stops.push("R: more"), "");
        assert!(stops.stopped());
        assert_eq!(stops.push("x"), "");
    }

    #[test]
    fn the_rest_is_given_back() {
        let mut stops = StopStrings::new(["€€".to_owned(), String::new()]);
        assert_eq!(stops.push("5 €"), "5 ");
        assert_eq!(stops.finish(), "€");
    }
}
