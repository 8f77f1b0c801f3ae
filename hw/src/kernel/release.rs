//! What a release says about itself: the USER_METADATA section of its xclbin, so that a wrong file is
//! named before it goes onto a card.

use super::Kernel;
use crate::config::HwConfig;
use crate::isa::isa_hash;
use serde::{Deserialize, Serialize};

/// Identity of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Hash of ISA table, register map and configuration, as register ISA_HASH gives it.
    pub isa_hash: u32,
    /// Card.
    pub board: String,
    /// The accelerator.
    pub config: HwConfig,
}

impl Release {
    /// The release of a kernel.
    pub fn of(kernel: &Kernel) -> Release {
        let config = kernel.config.clone();
        Release { isa_hash: isa_hash(&config), board: kernel.board.name.into(), config }
    }

    /// As text of the section.
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(self).expect("invariant: a release is plain data");
        format!("# {}\n{text}", crate::codegen::HEADER)
    }

    /// From the text of the section.
    pub fn from_toml(text: &str) -> Result<Release, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }
}
