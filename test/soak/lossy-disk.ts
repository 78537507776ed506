/**
 * A disk of its own, an image in a file with ext4 on it, that loses at once what was not brought to it. It is mounted in a
 * mount namespace: the mount is seen by nobody else, and is gone with the last process that is in there. Needs root on Linux.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Power } from './interrupted-transfer.ts';

/** Node has no ioctl: EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, so that not even the journal is written. */
const SHUTDOWN = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))`;

/**
 * Runs a program of this Node in namespaces of its own and gives its exit status. Whatever ends it takes all processes
 * that it has started and all mounts that it has made with it.
 */
export async function runInNamespaces(script: string, args: readonly string[]): Promise<number> {
  const apart = ['--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  const child = spawn('unshare', [...apart, process.execPath, script, ...args], { stdio: 'inherit' });
  const end = (): void => {
    child.kill('SIGKILL');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  const [status] = await once(child, 'exit');
  return typeof status === 'number' ? status : 1;
}

/** See the head of this file. Its power is on until {@link cut}. */
export class LossyDisk implements Power, Disposable {
  readonly #image: string;
  readonly #folder: string;

  private constructor(image: string, folder: string) {
    this.#image = image;
    this.#folder = folder;
  }

  /**
   * Makes an empty disk and shows it in a folder.
   *
   * @param image A path for the image, which grows as it is filled.
   * @param bytes Size of the disk.
   * @param folder Where it is mounted; made if it is not there.
   */
  static create(image: string, bytes: number, folder: string): LossyDisk {
    writeFileSync(image, '', { flag: 'wx' });
    truncateSync(image, bytes);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    mkdirSync(folder, { recursive: true });
    const disk = new LossyDisk(image, folder);
    disk.#mount();
    return disk;
  }

  cut(): void {
    execFileSync('python3', ['-c', SHUTDOWN, this.#folder]);
  }

  restore(): void {
    this.#unmount();
    // The journal is played back.
    this.#mount();
  }

  /** Brings everything to the disk. */
  sync(): void {
    execFileSync('sync', ['--file-system', this.#folder]);
  }

  /** Writes a file of that name in its root and brings this one to the disk, as another program may at any time. */
  syncFile(name: string): void {
    writeFileSync(join(this.#folder, name), name, { flush: true });
  }

  [Symbol.dispose](): void {
    this.#unmount();
  }

  #mount(): void {
    execFileSync('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev', this.#image, this.#folder]);
  }

  #unmount(): void {
    execFileSync('umount', [this.#folder]);
  }
}
