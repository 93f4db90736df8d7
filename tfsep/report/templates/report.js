"use strict";
(() => {
  const transport = document.getElementById("transport");
  const play = document.getElementById("play");
  const seek = document.getElementById("seek");
  const time = document.getElementById("time");
  const status = document.getElementById("status");
  const seconds = Number(transport.dataset.seconds);
  const FADE = 0.015;

  const rows = [...document.querySelectorAll(".row")].map((element) => ({
    element,
    solo: element.querySelector(".solo"),
    mute: element.querySelector(".mute"),
    volume: element.querySelector(".volume"),
    level: element.querySelector(".level"),
    cursor: element.querySelector(".cursor"),
    coded: element.querySelector("script"),
  }));

  let context = null; // made by the first click: browsers let no page sound before
  let playing = false;
  let place = 0; // where the sound stands, or stood when it started, in seconds
  let startedAt = 0; // on the clock of the context, which all buffers share

  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const spell = (t) => `${Math.floor(t / 60)}:${(Math.floor((t % 60) * 10) / 10).toFixed(1).padStart(4, "0")}`;
  const position = () => (playing ? Math.min(seconds, place + Math.max(0, context.currentTime - startedAt)) : place);

  function audible(row) {
    const soloed = rows.some((other) => pressed(other.solo));
    return soloed ? pressed(row.solo) : !pressed(row.mute);
  }

  function applyGains() {
    for (const row of rows) {
      const sounds = audible(row);
      row.element.classList.toggle("silent", !sounds);
      if (context) row.gain.gain.setTargetAtTime(sounds ? Number(row.volume.value) : 0, context.currentTime, FADE);
    }
  }

  function bytes(text) {
    const raw = atob(text);
    const result = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) result[i] = raw.charCodeAt(i);
    return result.buffer;
  }

  async function prepare() {
    context = new AudioContext({ sampleRate: Number(transport.dataset.rate) });
    for (const [number, row] of rows.entries()) {
      status.textContent = `Decoding ${number + 1} of ${rows.length} …`;
      if (row.coded) {
        row.buffer = await context.decodeAudioData(bytes(row.coded.textContent));
        row.coded.remove();
        row.coded = null;
      }
      row.gain = new GainNode(context, { gain: audible(row) ? Number(row.volume.value) : 0 });
      row.analyser = new AnalyserNode(context, { fftSize: 2048 });
      row.gain.connect(row.analyser).connect(context.destination);
    }
    status.textContent = "";
  }

  function startSources() {
    startedAt = context.currentTime + 0.05;
    for (const row of rows) {
      row.source = new AudioBufferSourceNode(context, { buffer: row.buffer });
      row.source.connect(row.gain);
      row.source.start(startedAt, Math.min(place, row.buffer.duration));
    }
  }

  function stopSources() {
    for (const row of rows) {
      row.source.stop();
      row.source.disconnect();
    }
  }

  async function start() {
    play.disabled = true;
    try {
      if (!context) await prepare();
      await context.resume();
    } catch (error) {
      context = null;
      status.textContent = `This browser cannot play the sound of this page: ${error.message}`;
      return;
    } finally {
      play.disabled = false;
    }
    if (place >= seconds) place = 0;
    startSources();
    playing = true;
    show();
    applyGains();
    requestAnimationFrame(follow);
  }

  function pause(at) {
    place = at;
    playing = false;
    stopSources();
    show();
  }

  function moveTo(t) {
    place = Math.min(seconds, Math.max(0, t));
    if (playing) {
      stopSources();
      startSources();
    }
    show();
  }

  function show() {
    const now = position();
    play.textContent = playing ? "Pause" : "Play";
    press(play, playing);
    seek.value = String(now);
    seek.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
    time.textContent = `${spell(now)} / ${spell(seconds)}`;
    for (const row of rows) {
      row.cursor.style.left = `${(100 * now) / seconds}%`;
      row.level.value = playing ? loudness(row) : 0;
    }
  }

  function loudness(row) {
    const samples = new Float32Array(row.analyser.fftSize);
    row.analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    return Math.max(0, 1 + (10 * Math.log10(power + 1e-12)) / 60); // 60 dB from end to end
  }

  function follow() {
    if (!playing) return;
    if (position() >= seconds) pause(0);
    else {
      show();
      requestAnimationFrame(follow);
    }
  }

  const toggle = () => (playing ? pause(position()) : start());
  play.addEventListener("click", toggle);
  seek.addEventListener("input", () => moveTo(Number(seek.value)));
  for (const row of rows) {
    for (const button of [row.solo, row.mute]) {
      button.addEventListener("click", () => {
        press(button, !pressed(button));
        applyGains();
      });
    }
    row.volume.addEventListener("input", applyGains);
    const pictures = row.element.querySelector(".pictures");
    pictures.addEventListener("click", (event) => {
      const box = pictures.getBoundingClientRect();
      moveTo((seconds * (event.clientX - box.left)) / box.width);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.closest("button, input") || play.disabled) return;
    event.preventDefault();
    toggle();
  });
  show();
  applyGains();
})();
