//! A small disk that can be filled up, for programs that must survive a full one.
//!
//! It is a file system in memory in a mount namespace of its own, which a sleeping process holds: it is gone with that
//! process, whatever becomes of the test. Programs that are to see it are started by [`Disk::inside`]. No root is
//! needed where the system allows user namespaces.

use std::{
    ffi::OsString,
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    NodeError,
    folder::Folder,
    process::{Process, Spec},
};

/// How long making it may take.
const READY: Duration = Duration::from_secs(20);
/// What takes the room.
const BALLAST: &str = "ballast";

/// A disk. It ends with the value.
#[derive(Debug)]
pub struct Disk {
    holder: Process,
    folder: Folder,
    root: bool,
}

impl Disk {
    /// Makes a disk of so many bytes, rounded up to pages.
    ///
    /// # Errors
    /// [`NodeError::Ended`] with the reason where the system does not allow it.
    pub async fn new(bytes: u64) -> Result<Self, NodeError> {
        let folder = Folder::new(None)?;
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).map_err(NodeError::io("making a disk's folder"))?;
        let root = rustix::process::geteuid().is_root();
        let mut args = vec!["--mount", "--propagation", "private"];
        if !root {
            args.push("--map-root-user");
        }
        let script =
            "mount -t tmpfs -o size=$2 tmpfs \"$1\" && touch \"$1\"/ready && exec sleep infinity";
        let size = bytes.to_string();
        args.extend(["sh", "-c", script, "sh"]);
        let mut args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
        args.extend([at.into_os_string(), size.into()]);
        let holder = Process::start(&Spec {
            name: String::from("disk"),
            program: "unshare".into(),
            args,
            env: Vec::new(),
            folder: folder.path().to_owned(),
            log: folder.path().join("disk.log"),
        })?;
        let mut disk = Self { holder, folder, root };
        let ready = disk.seen_from_here("ready");
        let look = || async { ready.metadata().map(drop).map_err(NodeError::io("mounting")) };
        disk.holder.wait_ready(READY, look).await?;
        Ok(disk)
    }

    /// Where programs inside find it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A file of the disk, as this process can open it.
    fn seen_from_here(&self, file: &str) -> PathBuf {
        let inside = self.path().join(file);
        let inside = inside.strip_prefix("/").unwrap_or(&inside);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    /// The same program, with the disk in its sight.
    pub fn inside(&self, mut spec: Spec) -> Spec {
        let namespaces = format!("/proc/{}/ns", self.holder.id());
        let mut args = vec![OsString::from(format!("--mount={namespaces}/mnt"))];
        if !self.root {
            args.push(format!("--user={namespaces}/user").into());
            args.push("--preserve-credentials".into());
        }
        args.push("--".into());
        args.push(std::mem::replace(&mut spec.program, "nsenter".into()).into());
        args.append(&mut spec.args);
        Spec { args, ..spec }
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// [`NodeError::Io`] when it cannot be written at all.
    pub fn fill(&self) -> Result<(), NodeError> {
        let what = || NodeError::io("filling a disk");
        let mut file = File::create(self.seen_from_here(BALLAST)).map_err(what())?;
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(what()(error)),
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn free(&self) -> Result<(), NodeError> {
        std::fs::remove_file(self.seen_from_here(BALLAST)).map_err(NodeError::io("freeing a disk"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_full_for_those_inside_and_unseen_outside() {
        let disk = Disk::new(64 * 1024).await.unwrap();
        let write = |name: &str| {
            let file = disk.path().join(name);
            let folder = disk.folder.path().to_owned();
            disk.inside(Spec {
                name: name.to_owned(),
                program: "sh".into(),
                args: vec!["-c".into(), "echo some >$0".into(), file.into()],
                env: Vec::new(),
                log: folder.join(format!("{name}.log")),
                folder,
            })
        };
        let run = async |name: &str| {
            let mut process = Process::start(&write(name)).unwrap();
            process.wait(READY).await.unwrap().success()
        };
        assert!(run("before").await);
        assert!(!disk.path().join("before").exists(), "only those inside see it");
        disk.fill().unwrap();
        assert!(!run("full").await);
        disk.free().unwrap();
        assert!(run("after").await);
    }
}
