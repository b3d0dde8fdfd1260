//! A project: a folder with a manifest.

use std::path::{Path, PathBuf};

use crate::error::ProjectError;
use crate::manifest::{MANIFEST, Manifest};

/// A project that was found and whose manifest was read.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    manifest: Manifest,
}

impl Project {
    /// Finds the project that a folder belongs to: the folder itself, or the nearest one above it
    /// that has a manifest.
    ///
    /// # Errors
    /// `no_project`, and those of [`Manifest::read`].
    pub fn find(folder: &Path) -> Result<Self, ProjectError> {
        let absolute = std::path::absolute(folder).map_err(ProjectError::file("open", folder))?;
        let root = absolute.ancestors().find(|folder| folder.join(MANIFEST).is_file());
        let root = root.ok_or_else(|| {
            let message = format!("there is no {MANIFEST} in {} or above it", absolute.display());
            ProjectError::new("no_project", message)
                .hint("`skep new NAME --lang js` makes a project; --project DIR names one")
        })?;
        Self::open(root)
    }

    /// Opens the project in this folder.
    ///
    /// # Errors
    /// Those of [`Manifest::read`].
    pub fn open(root: &Path) -> Result<Self, ProjectError> {
        let manifest = Manifest::read(&root.join(MANIFEST))?;
        Ok(Self { root: root.to_path_buf(), manifest })
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the path of the component that a build leaves.
    pub fn component(&self) -> PathBuf {
        self.root.join("build").join(format!("{}.wasm", self.manifest.name))
    }

    /// Returns the folder for everything that can be made again.
    pub fn private(&self) -> PathBuf {
        self.root.join(".skep")
    }

    /// Returns the folder of the unit tests and the test turns.
    pub fn tests(&self) -> PathBuf {
        self.root.join(self.manifest.test.turns.as_deref().unwrap_or("tests"))
    }
}
