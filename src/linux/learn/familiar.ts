// Names that mean something to whoever reads a run: what a box has by itself, programs that run other programs' text, and
// daemons that are asked without being needed.

/** Made by every box for itself, or private to it. What it takes from the host is in system-files.ts. */
export const OF_THE_BOX =
  /^\/(?:dev\/(?:null|zero|full|random|urandom|tty|stdin|stdout|stderr|ptmx|(?:fd|pts|shm)(?:\/.*)?)|proc(?:\/.*)?|etc\/(?:passwd|group|hostname|hosts|resolv\.conf|nsswitch\.conf|ld\.so\.cache|ld\.so\.preload)|tmp(?:\/.*)?)$/

/** Programs that do whatever they are told: a list of programs says little about them. */
export const INTERPRETER =
  /\/(?:(?:ba|da|z|k|fi)?sh|busybox|env|python[0-9.]*|perl[0-9.]*|ruby[0-9.]*|node|nodejs|deno|bun|lua[0-9.]*|php[0-9.]*|awk|gawk|mawk|make|xargs|find|git)$/

/** Daemons that C libraries ask when they are there, and do without when they are not. */
export const DAEMONS =
  /^\/(?:var\/)?run\/(?:nscd\/socket|systemd\/(?:userdb|resolve|journal|private|notify)(?:\/.*)?)$|^\/dev\/log$/
