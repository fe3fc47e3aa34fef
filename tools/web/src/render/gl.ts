// The little of WebGL2 that is needed: programs, and quads drawn once per instance from one interleaved float array.

export type Rgb = readonly [number, number, number];

/** World to clip space, shared by all programs. */
export const VIEW_GLSL = `
uniform vec4 u_view; // middle x, middle z, clip units per metre in x and z
uniform vec2 u_shift; // of the middle, in clip units
vec4 clip(vec2 world) {
  vec2 p = (world - u_view.xy) * u_view.zw + u_shift;
  return vec4(p.x, -p.y, 0.0, 1.0);
}`;

export class Program {
  readonly #program: WebGLProgram;
  readonly #uniforms = new Map<string, WebGLUniformLocation | null>();

  constructor(readonly gl: WebGL2RenderingContext, vertex: string, fragment: string) {
    const program = gl.createProgram();
    const head = "#version 300 es\nprecision highp float;\n";
    gl.attachShader(program, shader(gl, gl.VERTEX_SHADER, head + VIEW_GLSL + vertex));
    gl.attachShader(program, shader(gl, gl.FRAGMENT_SHADER, head + fragment));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "program did not link");
    this.#program = program;
  }

  use(): void {
    this.gl.useProgram(this.#program);
  }

  uniform(name: string): WebGLUniformLocation | null {
    let location = this.#uniforms.get(name);
    if (location === undefined) {
      location = this.gl.getUniformLocation(this.#program, name);
      this.#uniforms.set(name, location);
    }
    return location;
  }
}

function shader(gl: WebGL2RenderingContext, type: number, source: string): WebGLShader {
  const made = gl.createShader(type);
  if (!made) throw new Error("the graphics context is lost");
  gl.shaderSource(made, source);
  gl.compileShader(made);
  if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made) ?? "shader did not compile");
  return made;
}

/** Instances of a quad from (-1, -1) to (1, 1): attribute 0 is the corner, 1 and up are the instance's vectors. */
export class Quads {
  /** Filled by the owner before `draw`. */
  data: Float32Array;
  readonly #vertices: WebGLVertexArrayObject;
  readonly #instances: WebGLBuffer;
  readonly #floats: number;

  constructor(readonly gl: WebGL2RenderingContext, vectors: readonly number[], capacity: number) {
    this.#floats = vectors.reduce((sum, size) => sum + size, 0);
    this.data = new Float32Array(capacity * this.#floats);
    this.#vertices = gl.createVertexArray();
    this.#instances = gl.createBuffer();
    gl.bindVertexArray(this.#vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#instances);
    gl.bufferData(gl.ARRAY_BUFFER, this.data.byteLength, gl.DYNAMIC_DRAW);
    let offset = 0;
    vectors.forEach((size, i) => {
      gl.enableVertexAttribArray(i + 1);
      gl.vertexAttribPointer(i + 1, size, gl.FLOAT, false, this.#floats * 4, offset);
      gl.vertexAttribDivisor(i + 1, 1);
      offset += size * 4;
    });
  }

  /** Room for `count` instances; keeps nothing. */
  reserve(count: number): void {
    if (count * this.#floats <= this.data.length) return;
    this.data = new Float32Array(count * 2 * this.#floats);
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.#instances);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, this.data.byteLength, this.gl.DYNAMIC_DRAW);
  }

  draw(count: number): void {
    if (count === 0) return;
    const { gl } = this;
    gl.bindVertexArray(this.#vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#instances);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, this.data, 0, count * this.#floats);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
  }
}
