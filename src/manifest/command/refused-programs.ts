// The programs whose whole purpose, or some part of their arguments that cannot be told from the rest, is to run something
// else. Each reason is said once, over the names that it is true of. A name stands for its versions and variants too:
// see program-rules.ts.

const BY_REASON: readonly (readonly [why: string, names: string])[] = [
  [
    'runs the program that its arguments name',
    `sudo doas su runuser pkexec sg setpriv capsh run0 gosu setuidgid chpst softlimit setlock
     xargs watch time stdbuf setsid unshare nsenter chroot fakechroot fakeroot flock script scriptreplay strace ltrace gdb
     lldb rr perf valgrind parallel ionice chrt taskset numactl prlimit cpulimit choom catchsegv setarch linux32 linux64
     uname26 i386 x86_64 unbuffer expect autoexpect rlwrap cgexec firejail bwrap proot systemd-run start-stop-daemon
     daemonize dbus-run-session dbus-launch ssh-agent tsocks torsocks torify proxychains proxychains4 faketime entr
     multitime hyperfine pexec aa-exec aa-exec-unconfined ip tsp dtach screen tmux tmate openvt
     run-parts run-one logsave cdist chronic ifne pee vipe vidir direnv envdir busctl dmsetup service xdotool ld ldd ltrace sotruss pstack crash gcore genie knife scanmem task tasksh xvfb-run
     xdg-open open mimeopen run-mailcap see edit compose print vagrant wine tox nox foreman honcho supervisord systemctl
     loginctl machinectl journalctl timedatectl hostnamectl init telinit watchexec nodemon concurrently cross-env dotenv
     pm2 forever pyenv rbenv nvm asdf mise qemu box64 mono coverage scalene py-spy memray heaptrack uftrace kcov
     xterm urxvt rxvt gnome-terminal konsole kitty alacritty foot st chromium chrome google-chrome electron code
     iptables ip6tables ebtables modprobe mount pppd dhclient logrotate inetd xinetd tcpserver websocketd gotty ttyd`,
  ],
  [
    'runs what its arguments or its input say, later or elsewhere',
    `at batch crontab atq cron anacron ssh slogin rsh rlogin remsh rexec mosh sftp scp sshpass autossh sshfs ssh-add
     ssh-keygen ssh-copy-id telnet ftp lftp ncftp tnftp nc ncat netcat socat nmap openvpn mail mailx mutt sendmail exim
     docker podman nerdctl ctr crictl kubectl oc helm lxc lxd incus buildah skopeo runc crun containerd minikube
     ansible ansible-playbook ansible-test puppet facter salt salt-call chef-client terraform aws gcloud az
     nginx apache2 httpd asterisk varnishncsa tftp dbclient`,
  ],
  ['is many programs in one', 'busybox toybox box sbase-box ubase-box coreutils uutils'],
  [
    'runs code in its arguments or its input',
    `zsh fish csh tcsh elvish xonsh nu pwsh powershell rc es sash yash slsh rbash rksh
     lksh posh oksh osh ysh bosh hush bun deno tsx ts-node ts-node-esm jython ipython bpython ptpython micropython
     jruby raku gosh csi irb pry gjs cjs jjs jshell jrunscript java javac groovy scala kotlin clojure
     ghc ghci runghc runhaskell stack ocaml erl elixir iex julia octave r scilab gnuplot maxima gp sage guile racket sbcl
     clisp emacs emacsclient swipl gst m4 dc psql mysql mariadb sqlite3 sqlite mongo mongosh redis-cli
     sqlplus tdbtool ginsh tclsh wish rake bpftrace dtrace stap ed ex red cowsay cowthink
     rename prename file-rename perl-rename mlr duckdb clickhouse vd visidata exiftool msgfilter csvtool gimp blender tex latex pdflatex pdftex xelatex xetex lualatex luatex latexmk
     groff troff nroff pic gs ghostscript dvips enscript pandoc ispell aspell msfconsole`,
  ],
  [
    'can start a pager, an editor or a shell',
    `less more most pg lesspipe man apropos info pinfo help view vi vim nvim rvim rview vimdiff vigr vipw visudo nano pico
     emacsclient joe mcedit micro helix hx kak ne ncdu mc ranger nnn lf tig gitk lazygit htop atop btop iftop fzf sk peco
     w3m lynx links elinks whiptail dialog`,
  ],
  [
    'runs aliases, extensions or the programs of its configuration',
    'hg svn bzr cvs fossil jj gh glab hub eslint prettier stylelint rollup parcel babel',
  ],
  [
    'builds, installs or tests by running scripts',
    `make gmake bmake cmake ctest ninja meson scons bazel buck just npm npx yarn pnpm pnpx corepack lerna nx turbo
     gulp grunt webpack vite jest vitest mocha pip pipx pip3 uv uvx poetry pdm hatch conda mamba pytest tox
     easy_install setup.py cargo rustc rustup go dotnet msbuild mvn gradle gradlew ant sbt lein gem bundle
     bundler composer phpunit cpan cpanm apt apt-get aptitude dpkg snap flatpak yum dnf rpm rpmbuild zypper pacman apk brew
     port nix nix-shell nix-build nix-env guix autoconf autoreconf automake autoheader configure libtool distcc ccache
     pre-commit husky cpio rpmquery rpmverify opkg emerge`,
  ],
]

/** By name: why it is refused however it is called. */
export const REFUSED_PROGRAMS: ReadonlyMap<string, string> = new Map(
  BY_REASON.flatMap(([why, names]) =>
    names
      .trim()
      .split(/\s+/)
      .map((name): [string, string] => [name, why]),
  ),
)
