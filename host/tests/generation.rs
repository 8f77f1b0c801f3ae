//! The generation loop on a device that says what it is told to.

use flightvlm::device::{
    check_prompt, check_step, Device, DeviceError, ImageHandle, ImageInfo, Logits, ModelInfo, RunStats,
    StepOutput,
};
use flightvlm::generate::{generate, Answer, Finish, GenerateError, Options};
use flightvlm::prompt::Prompt;
use flightvlm::sampler::Sampling;
use flightvlm::text::Tokenizer;
use flightvlm_compiler::graph::Picture;
use std::sync::atomic::{AtomicBool, Ordering};

const WORDS: [&str; 8] = ["<unk>", "</s>", "<image>", "a", "red", "apple", "USER:", "."];

fn tokenizer() -> Tokenizer {
    let vocab: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": 1, "content": "</s>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    });
    Tokenizer::from_bytes(json.to_string().as_bytes()).expect("tokenizer")
}

/// Answers with a fixed list of tokens and checks that it is told each of them.
struct Script {
    model: ModelInfo,
    says: Vec<u32>,
    said: usize,
    used: usize,
    images: usize,
    want: Option<Logits>,
}

impl Script {
    fn new(says: &[u32]) -> Self {
        let image = ImageInfo {
            vision: Default::default(),
            token_id: 2,
            rows: 4,
            rows_unpruned: 4,
            prune: None,
            video: None,
        };
        let model = ModelInfo {
            architecture: "script".into(),
            vocabulary: WORDS.len(),
            layers: 1,
            outputs: WORDS.len(),
            answers: true,
            max_context: 12,
            stop_ids: vec![1],
            image: Some(image),
        };
        Script { model, says: says.to_vec(), said: 0, used: 0, images: 0, want: None }
    }

    fn say(&mut self) -> StepOutput {
        let token = self.says[self.said];
        self.said += 1;
        let logits = (0..WORDS.len()).map(|id| if id == token as usize { 9.0 } else { 0.0 });
        StepOutput { greedy_token: token, logits: logits.collect(), hidden: Vec::new() }
    }
}

impl Device for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn model(&self) -> &ModelInfo {
        &self.model
    }

    fn begin(&mut self) -> Result<(), DeviceError> {
        (self.said, self.used, self.images) = (0, 0, 0);
        Ok(())
    }

    fn encode_image(&mut self, _picture: &Picture) -> Result<ImageHandle, DeviceError> {
        self.images += 1;
        Ok(ImageHandle { index: self.images - 1, rows: 4 })
    }

    fn prefill(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        self.want = Some(want);
        check_prompt(&self.model, ids, images)?;
        self.used = ids.len();
        Ok(self.say())
    }

    fn step(&mut self, token: u32, want: Logits) -> Result<StepOutput, DeviceError> {
        assert_eq!(Some(want), self.want);
        check_step(&self.model, token, self.used)?;
        assert_eq!(token, self.says[self.said - 1], "told another token than chosen");
        self.used += 1;
        Ok(self.say())
    }

    fn stats(&self) -> RunStats {
        RunStats::default()
    }
}

fn options() -> Options {
    Options {
        max_new_tokens: 100,
        sampling: Sampling::Greedy,
        stop_ids: vec![1],
        stop_strings: vec![],
        exits: None,
    }
}

fn text_prompt(length: usize) -> Prompt {
    Prompt { ids: vec![3; length], image_tokens: 0, images: vec![] }
}

fn ask(says: &[u32], prompt: &Prompt, options: &Options) -> (Answer, Vec<String>) {
    let mut pieces = Vec::new();
    let mut show = |text: &str| {
        pieces.push(text.to_owned());
        Ok(())
    };
    let quiet = AtomicBool::new(false);
    let mut device = Script::new(says);
    let answer = generate(&mut device, &tokenizer(), prompt, options, &quiet, &mut show);
    (answer.expect("answer"), pieces)
}

#[test]
fn a_stop_token_ends_the_answer_and_is_not_shown() {
    let (answer, pieces) = ask(&[3, 4, 5, 1], &text_prompt(2), &options());
    assert_eq!(answer.text, "a red apple");
    assert_eq!(pieces.concat(), answer.text);
    assert!(pieces.len() >= 3, "not streamed: {pieces:?}");
    assert_eq!(answer.tokens, [3, 4, 5, 1]);
    assert_eq!(answer.finish, Finish::Stop);
}

#[test]
fn limits_end_the_answer() {
    let short = Options { max_new_tokens: 2, ..options() };
    let (answer, _) = ask(&[3, 4, 5], &text_prompt(2), &short);
    assert_eq!((answer.text.as_str(), answer.finish), ("a red", Finish::Length));
    // Ten prompt tokens leave two positions; the token after the last position needs none.
    let (answer, _) = ask(&[3, 4, 5], &text_prompt(10), &options());
    assert_eq!((answer.tokens.len(), answer.finish), (3, Finish::ContextFull));
}

#[test]
fn a_stop_string_over_several_tokens_ends_the_answer() {
    let stop = Options { stop_strings: vec!["apple USER:".into()], ..options() };
    let (answer, pieces) = ask(&[4, 5, 6, 7], &text_prompt(1), &stop);
    assert_eq!((answer.text.as_str(), answer.finish), ("red ", Finish::Stop));
    assert_eq!(pieces.concat(), "red ");
}

#[test]
fn an_interrupt_keeps_what_was_said() {
    let flag = AtomicBool::new(false);
    let mut device = Script::new(&[3, 4, 5, 1]);
    let mut shown = String::new();
    let mut show = |text: &str| {
        shown.push_str(text);
        if shown.ends_with("red") {
            flag.store(true, Ordering::Relaxed);
        }
        Ok(())
    };
    let prompt = text_prompt(1);
    let answer = generate(&mut device, &tokenizer(), &prompt, &options(), &flag, &mut show);
    let answer = answer.expect("answer");
    assert_eq!((answer.text.as_str(), answer.finish), ("a red", Finish::Interrupted));
}

#[test]
fn pictures_are_encoded_in_order_and_counted() {
    let picture = Picture::default();
    let images = vec![picture.clone()];
    let prompt = Prompt { ids: vec![2, 2, 2, 2, 3], image_tokens: 4, images };
    let (answer, _) = ask(&[5, 1], &prompt, &options());
    assert_eq!(answer.text, "apple");
    let wrong = Prompt { images: vec![picture.clone(), picture], ..prompt };
    let quiet = AtomicBool::new(false);
    let mut device = Script::new(&[5]);
    let mut show = |_: &str| Ok(());
    let error = generate(&mut device, &tokenizer(), &wrong, &options(), &quiet, &mut show);
    let error = error.expect_err("mismatch").to_string();
    assert!(error.contains("4 image tokens; its 2 image(s) give 8 rows"), "{error}");
}

#[test]
fn drawn_tokens_follow_the_seed() {
    let sampling = Sampling::TopP { temperature: 0.2, top_p: 0.9, seed: 5 };
    let (answer, _) = ask(&[3, 4, 1], &text_prompt(1), &Options { sampling, ..options() });
    assert_eq!(answer.text, "a red");
}

#[test]
fn a_closed_sink_is_an_error_not_a_panic() {
    let quiet = AtomicBool::new(false);
    let mut device = Script::new(&[3, 4, 1]);
    let mut show = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    let prompt = text_prompt(1);
    let error = generate(&mut device, &tokenizer(), &prompt, &options(), &quiet, &mut show);
    assert!(matches!(error, Err(GenerateError::Output(_))));
}
