//! Applies what panamax writes with the library that bootc and composefs use.
//!
//!     oci-delta-judge tar-diff DELTA ROOTFS OUT
//!     oci-delta-judge artifact LAYOUT ROOTFS OUT
//!
//! `ROOTFS` is the unpacked source image. The second form reads an oci-delta artifact that was unpacked into the
//! directory `LAYOUT`, and writes into the directory `OUT` the layers that the artifact carries, as tars named by
//! the hex digits of their diffIDs, each verified.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use oci_delta::{
    BlobStream, BlobStreamFuture, DeltaBlobReader, DeltaDataSource, is_delta_artifact,
    parse_delta_manifest, reconstruct_layer_to, tar_patch_apply,
};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

/// Files of a directory tree.
struct Rootfs {
    root: PathBuf,
    current: Option<File>,
}

impl Rootfs {
    fn current(&mut self) -> Result<&mut File> {
        self.current.as_mut().context("no file was opened yet")
    }
}

impl DeltaDataSource for Rootfs {
    fn set_current_file(&mut self, path: &str) -> Result<()> {
        let file = File::open(self.root.join(path)).with_context(|| format!("opening {path}"))?;
        ensure!(file.metadata()?.is_file(), "{path} is no regular file");
        self.current = Some(file);
        Ok(())
    }

    fn read_exact_current(&mut self, buf: &mut [u8]) -> Result<()> {
        Ok(self.current()?.read_exact(buf)?)
    }

    fn seek_current(&mut self, offset: u64) -> Result<u64> {
        Ok(self.current()?.seek(SeekFrom::Start(offset))?)
    }

    fn read_current_to_end(&mut self, max_size: u64) -> Result<Vec<u8>> {
        let file = self.current()?;
        ensure!(file.metadata()?.len() <= max_size, "file is too large");
        file.rewind()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn copy_to(&mut self, dst: &mut dyn Write, n: u64) -> Result<()> {
        let copied = std::io::copy(&mut self.current()?.take(n), dst)?;
        ensure!(copied == n, "file ends early: {copied} of {n} bytes");
        Ok(())
    }
}

/// The blobs of an OCI layout directory.
struct Layout(PathBuf);

impl Layout {
    fn open(&self, descriptor: &Descriptor) -> Result<File> {
        let digest = descriptor.digest();
        let path = self.0.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest());
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        ensure!(file.metadata()?.len() == descriptor.size(), "{digest} has another size");
        Ok(file)
    }
}

impl DeltaBlobReader for Layout {
    fn open_blob(&self, descriptor: &Descriptor) -> BlobStreamFuture<'_> {
        let file = self.open(descriptor);
        Box::pin(async move { Ok(Box::new(file?) as Box<dyn BlobStream>) })
    }
}

fn apply_artifact(layout: &Path, rootfs: &Path, out: &Path) -> Result<()> {
    let layout = Layout(layout.to_owned());
    let index = ImageIndex::from_file(layout.0.join("index.json"))?;
    let [descriptor] = index.manifests().as_slice() else {
        bail!("index.json names not one manifest");
    };
    let manifest = ImageManifest::from_reader(layout.open(descriptor)?)?;
    ensure!(is_delta_artifact(&manifest), "not an oci-delta artifact");
    layout.open(manifest.config())?;
    let delta = tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(parse_delta_manifest(&manifest, &layout))?;

    let mut source = Rootfs { root: rootfs.to_owned(), current: None };
    let diff_ids = delta.target_config.rootfs().diff_ids();
    for (layer, diff_id) in delta.target_manifest.layers().iter().zip(diff_ids) {
        let Some(blob) = delta.delta_layer_by_to.get(layer.digest()) else { continue };
        let diff_id = diff_id.parse()?;
        let mut tar = File::create(out.join(<oci_spec::image::Digest>::digest(&diff_id)))?;
        reconstruct_layer_to(layout.open(blob)?, blob.media_type(), &mut source, &diff_id, &mut tar)?;
    }
    println!("{}", delta.target_manifest_descriptor.digest());
    println!("{}", delta.source_config_digest);
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(2).map(PathBuf::from).collect();
    let mode = std::env::args().nth(1).unwrap_or_default();
    match (mode.as_str(), args.as_slice()) {
        ("tar-diff", [delta, rootfs, out]) => {
            let mut source = Rootfs { root: rootfs.clone(), current: None };
            tar_patch_apply(File::open(delta)?, &mut source, File::create(out)?)
        }
        ("artifact", [layout, rootfs, out]) => {
            fs::create_dir_all(out)?;
            apply_artifact(layout, rootfs, out)
        }
        _ => bail!("usage: oci-delta-judge tar-diff DELTA ROOTFS OUT | artifact LAYOUT ROOTFS OUT"),
    }
}
