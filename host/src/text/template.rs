//! Chat templates, rendered as `apply_chat_template` does.

use super::{SpecialTokens, TextError};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{context, Environment, Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Steps a template may take; a template comes with the model and must not hang us.
const FUEL: u64 = 10_000_000;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Pictures and text in reading order.
    pub content: Vec<Part>,
}

/// A piece of a message, in the spelling that chat templates test for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Part {
    /// A picture; its pixels travel separately, in the same order.
    Image,
    /// A video; its frames travel separately, in the same order.
    Video,
    /// Words.
    Text {
        /// The words.
        text: String,
    },
}

impl Message {
    /// A user turn: `images` pictures followed by a text.
    pub fn user(images: usize, text: &str) -> Self {
        let mut content = vec![Part::Image; images];
        content.push(Part::Text { text: text.to_owned() });
        Message { role: "user".to_owned(), content }
    }
}

/// How messages become one prompt string.
pub struct ChatTemplate {
    environment: Option<Environment<'static>>,
    takes_parts: bool,
    special: SpecialTokens,
    /// What stands for a picture, and for a video.
    visual_tokens: [String; 2],
}

impl ChatTemplate {
    /// Compiles a Jinja template. Without one, see [`ChatTemplate::render`].
    /// `visual_tokens`: what stands for a picture, and for a video.
    pub fn new(
        source: Option<&str>,
        special: SpecialTokens,
        visual_tokens: [String; 2],
    ) -> Result<Self, TextError> {
        let environment = source.map(compile).transpose()?;
        // Templates for text-only models read `content` as a string, the others as a list of
        // parts with a `type`; the latter must mention that word.
        let takes_parts = source
            .is_some_and(|source| ["'type'", "\"type\"", ".type"].iter().any(|word| source.contains(word)));
        Ok(ChatTemplate { environment, takes_parts, special, visual_tokens })
    }

    /// Whether the checkpoint brought a template.
    pub fn is_present(&self) -> bool {
        self.environment.is_some()
    }

    /// The prompt for these messages, ending where the assistant is to begin.
    ///
    /// Without a template the contents are joined: an image placeholder and a line break per
    /// picture, then the text.
    pub fn render(&self, messages: &[Message]) -> Result<String, TextError> {
        let Some(environment) = &self.environment else {
            return Ok(messages.iter().map(|message| self.flatten(message)).collect());
        };
        let messages = if self.takes_parts {
            Value::from(Serde(messages))
        } else {
            messages
                .iter()
                .map(|message| {
                    context! { role => message.role.as_str(), content => self.flatten(message) }
                })
                .collect()
        };
        let special = Value::from_pairs(self.special.iter());
        let values = context! { messages, add_generation_prompt => true, ..special };
        environment
            .get_template("chat")
            .and_then(|template| template.render(values))
            .map_err(|error| TextError::Template(explain(&error)))
    }

    /// Whether the tokenizer may still add its begin token: not if the text has it already.
    pub fn wants_special_tokens(&self, rendered: &str) -> bool {
        let bos = self.special.get("bos_token");
        !(self.is_present() && bos.is_some_and(|bos| rendered.starts_with(bos)))
    }

    /// A message as one string.
    fn flatten(&self, message: &Message) -> String {
        let part = |part: &Part| match part {
            Part::Image => format!("{}\n", self.visual_tokens[0]),
            Part::Video => format!("{}\n", self.visual_tokens[1]),
            Part::Text { text } => text.clone(),
        };
        message.content.iter().map(part).collect()
    }
}

/// An environment with the functions and whitespace rules that transformers gives templates.
fn compile(source: &str) -> Result<Environment<'static>, TextError> {
    let failed =
        |error: Error| TextError::File { file: "the chat template".into(), message: explain(&error) };
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(failed)?);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", to_json);
    environment.add_template_owned("chat", without_generation_marks(source)).map_err(failed)?;
    Ok(environment)
}

/// Removes `{% generation %}` marks, which only matter for training masks.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(inside) = rest[start + 2..].find("%}") else { break };
        let length = 2 + inside + 2;
        let tag = &rest[start..start + length];
        let word = tag[2..tag.len() - 2].trim_matches(['-', '+']).trim();
        out.push_str(&rest[..start]);
        if matches!(word, "generation" | "endgeneration") {
            // An empty block with the same whitespace marks leaves the layout as it was.
            out.push_str(&tag.replacen(word, "set _ = 0", 1));
        } else {
            out.push_str(tag);
        }
        rest = &rest[start + length..];
    }
    out + rest
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn to_json(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let json = serde_json::to_value(&value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let mut out = String::new();
    python_json(&json, indent, 0, &mut out);
    Ok(Value::from_safe_string(out))
}

/// JSON with Python's default separators.
fn python_json(value: &serde_json::Value, indent: Option<usize>, depth: usize, out: &mut String) {
    use serde_json::Value as Json;
    let (open, close, items): (_, _, Vec<(Option<&String>, &Json)>) = match value {
        Json::Array(list) if !list.is_empty() => ('[', ']', list.iter().map(|item| (None, item)).collect()),
        Json::Object(map) if !map.is_empty() => {
            ('{', '}', map.iter().map(|(key, item)| (Some(key), item)).collect())
        }
        scalar => return out.push_str(&scalar.to_string()),
    };
    let line = |depth: usize, out: &mut String| {
        if let Some(width) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(width * depth));
        }
    };
    out.push(open);
    for (at, (key, item)) in items.into_iter().enumerate() {
        if at > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        line(depth + 1, out);
        if let Some(key) = key {
            out.push_str(&serde_json::Value::from(key.as_str()).to_string());
            out.push_str(": ");
        }
        python_json(item, indent, depth + 1, out);
    }
    line(depth, out);
    out.push(close);
}

/// The message with its line, if there is one.
fn explain(error: &Error) -> String {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{message} (line {line} of the template)"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> ChatTemplate {
        let mut special = SpecialTokens::default();
        special.merge("test", br#"{"bos_token": "<s>", "eos_token": "</s>"}"#).unwrap();
        ChatTemplate::new(Some(source), special, visual()).unwrap()
    }

    fn visual() -> [String; 2] {
        ["<image>".into(), "<video>".into()]
    }

    /// The layout of LLaVA 1.5's template: pictures first, then text, then the turn's end.
    const LLAVA: &str = "{% for message in messages %}{% if message['role'] != 'system' %}\
        {{ message['role'].upper() + ': '}}{% endif %}\
        {% for content in message['content'] | selectattr('type', 'equalto', 'image') %}\
        {{ '<image>\n' }}{% endfor %}\
        {% for content in message['content'] | selectattr('type', 'equalto', 'text') %}\
        {{ content['text'] + ' '}}{% endfor %}{% endfor %}\
        {% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";

    #[test]
    fn pictures_and_text_as_parts() {
        let rendered = template(LLAVA).render(&[Message::user(1, "What is this?")]).unwrap();
        assert_eq!(rendered, "USER: <image>\nWhat is this? ASSISTANT:");
    }

    #[test]
    fn text_only_templates_get_strings() {
        let source = "{%- for m in messages %}{{ bos_token + m['role'] + '\n' + \
            m['content'].strip() + eos_token }}{% endfor %}";
        let template = template(source);
        let rendered = template.render(&[Message::user(1, " Hi. ")]).unwrap();
        assert_eq!(rendered, "<s>user\n<image>\n Hi.</s>");
        assert!(!template.wants_special_tokens(&rendered));
    }

    #[test]
    fn blocks_on_their_own_lines_leave_no_blank_lines() {
        let source = "{% for m in messages %}\n  {% generation %}\n{{ m.role }}\n\
            {% endgeneration %}\n{% endfor %}\nend";
        let rendered = template(source).render(&[Message::user(0, "x")]).unwrap();
        assert_eq!(rendered, "user\nend");
    }

    #[test]
    fn no_template_means_plain_text() {
        let plain = ChatTemplate::new(None, SpecialTokens::default(), visual()).unwrap();
        let rendered = plain.render(&[Message::user(2, "Same?")]).unwrap();
        assert_eq!(rendered, "<image>\n<image>\nSame?");
        let film =
            Message { role: "user".into(), content: vec![Part::Video, Part::Text { text: "Why?".into() }] };
        assert_eq!(plain.render(&[film]).unwrap(), "<video>\nWhy?");
        assert!(plain.wants_special_tokens(&rendered));
    }

    #[test]
    fn a_templates_own_complaint_reaches_the_user() {
        let source = "{{ raise_exception('roles must alternate') }}";
        let error = template(source).render(&[]).unwrap_err().to_string();
        assert!(error.contains("roles must alternate"), "{error}");
        assert!(ChatTemplate::new(Some("{% if"), SpecialTokens::default(), visual()).is_err());
    }

    #[test]
    fn json_looks_as_python_writes_it() {
        let rendered = template("{{ {'a': [1, '<é>'], 'b': {}} | tojson }}").render(&[]).unwrap();
        assert_eq!(rendered, r#"{"a": [1, "<é>"], "b": {}}"#);
        let rendered = template("{{ [1, 2] | tojson(indent=2) }}").render(&[]).unwrap();
        assert_eq!(rendered, "[\n  1,\n  2\n]");
    }

    #[test]
    fn an_endless_template_is_cut_off() {
        let source = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}\
            {% endfor %}";
        assert!(template(source).render(&[]).is_err());
    }
}
