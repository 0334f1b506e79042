/** The Python wheels that carry TensorFlow's C library, and CUDA beside it, each with its hash. */

/**
 * @typedef {object} Wheel
 * @property {string} project
 * @property {string} version
 * @property {string} sha256
 * @property {readonly string[]} keep how the names of its files begin that are unpacked
 */

/**
 * @typedef {object} Library The contents of one folder.
 * @property {string} tag pip's name of the platform
 * @property {readonly Wheel[]} wheels TensorFlow's own first
 * @property {number} bytes of the wheels, about
 * @property {number} unpacked bytes of what is kept of them
 * @property {readonly string[]} libraries of `tensorflow/`, which the binding is linked with
 */

export const TENSORFLOW_VERSION = "2.18.1";

/** Of `@tensorflow/tfjs-node-gpu`, whose binding and kernels run on that library. */
export const BINDING_VERSION = "4.22.0";

const LINUX_LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
const MACOS_LIBRARIES = ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"];

/**
 * A wheel of Python 3.12: the C library in it is the same for every Python, so one hash a platform is enough. Of its
 * 12,000 files: the libraries and those beside them, the headers that the binding includes, the notices.
 * @param {string} project
 * @param {string} sha256
 * @param {readonly string[]} libraries
 * @returns {Wheel}
 */
function tensorflow(project, sha256, libraries) {
  const keep = [
    ...libraries.map((name) => `tensorflow/${name}`),
    "tensorflow/include/tensorflow/c/",
    "tensorflow/include/tensorflow/core/platform/ctstring",
    "tensorflow/include/tsl/platform/ctstring",
    "tensorflow/include/xla/tsl/c/",
    "tensorflow/include/LICENSE",
    "tensorflow/THIRD_PARTY_NOTICES.txt",
    "tensorflow.libs/",
  ];
  return { project, version: TENSORFLOW_VERSION, sha256, keep };
}

/**
 * A part of CUDA, as the extra `and-cuda` of TensorFlow's wheel pins it. TensorFlow finds its libraries by the
 * RUNPATH `$ORIGIN/../nvidia/<part>/lib`, so they keep the wheel's layout.
 * @param {string} part
 * @param {string} version
 * @param {string} sha256
 * @returns {Wheel}
 */
function cuda(part, version, sha256) {
  const folder = `nvidia/${part.replaceAll("-", "_")}`;
  const project = `nvidia-${part}-cu12`;
  const licence = `${project.replaceAll("-", "_")}-${version}.dist-info/License`;
  const keep = [`${folder}/lib/`, `${folder}/bin/ptxas`, `${folder}/nvvm/libdevice/`, licence];
  return { project, version, sha256, keep };
}

const CUDA = [
  cuda("cublas", "12.5.3.2", "ca070ad70e9fa6654084575d01bd001f30cc4665e33d4bb9fc8e0f321caa034b"),
  cuda("cuda-cupti", "12.5.82", "bde77a5feb66752ec61db2adfe47f56b941842825b4c7e2068aff27c9d107953"),
  cuda("cuda-nvcc", "12.5.82", "b03e545b8e8c3ce7ebcd7fc44063180ff52ff01d064ece2127ed90a04ef12cd0"),
  cuda("cuda-nvrtc", "12.5.82", "3dbd97b0104b4bfbc3c4f8c79cd2496307c89c43c29a9f83125f1d76296ff3fd"),
  cuda("cuda-runtime", "12.5.82", "3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115"),
  cuda("cudnn", "9.3.0.75", "9ad9c6929ebb5295eb4a1728024666d1c88283373e265a0c5c883e6f9d5cd76d"),
  cuda("cufft", "11.2.3.61", "9a6e8df162585750f61983a638104a48c756aa13f9f48e19ab079b38e3c828b8"),
  cuda("curand", "10.3.6.82", "2823fb27de4e44dbb22394a6adf53aa6e1b013aca0f8c22867d1cfae58405536"),
  cuda("cusolver", "11.6.3.83", "93cfafacde4428b71778eeb092ec615a02a3d05404da1bcf91c53e3fa1bce42b"),
  cuda("cusparse", "12.5.1.3", "016df8e993c437e8301e62739f01775cba988fd5253cd4c64173f8e8d2f8e752"),
  cuda("nccl", "2.21.5", "8579076d30a8c24988834445f8d633c697d42397e92ffc3f63fa26766d25e0a0"),
  cuda("nvjitlink", "12.5.82", "f9b37bc5c8cf7509665cb6ada5aaa0ce65618f2332b7d3e78e9790511f111212"),
];

/**
 * By platform; `-gpu` for the build with CUDA kernels (compute capability 6.0 to 9.0).
 * @type {Readonly<Record<string, Library>>}
 */
export const LIBRARIES = {
  "linux-x64": {
    tag: "manylinux2014_x86_64",
    wheels: [
      tensorflow(
        "tensorflow-cpu",
        "8e0f27dbd92c6d380ae0ccfe73c7343f65c127b0aa98467c30c2e71eda7c76a4",
        LINUX_LIBRARIES,
      ),
    ],
    bytes: 230_350_167,
    unpacked: 683_000_000,
    libraries: LINUX_LIBRARIES,
  },
  "linux-x64-gpu": {
    tag: "manylinux2014_x86_64",
    wheels: [
      tensorflow(
        "tensorflow",
        "442d2a774811789a8ad948e7286cb950fe3d87d3754e8cc6449d53b03dbfdaa6",
        LINUX_LIBRARIES,
      ),
      ...CUDA,
    ],
    bytes: 2_430_000_000,
    unpacked: 4_031_000_000,
    libraries: LINUX_LIBRARIES,
  },
  "linux-arm64": {
    tag: "manylinux2014_aarch64",
    wheels: [
      tensorflow(
        "tensorflow",
        "1ba52b9c06ab8102b31e50acfaf56899b923171e603c8942f2bfeb181d6bb59e",
        LINUX_LIBRARIES,
      ),
    ],
    bytes: 231_996_787,
    unpacked: 768_000_000,
    libraries: LINUX_LIBRARIES,
  },
  "darwin-arm64": {
    tag: "macosx_12_0_arm64",
    wheels: [
      tensorflow(
        "tensorflow",
        "98afa9c7f21481cdc6ccd09507a7878d533150fbb001840cc145e2132eb40942",
        MACOS_LIBRARIES,
      ),
    ],
    bytes: 239_622_377,
    unpacked: 656_000_000,
    libraries: MACOS_LIBRARIES,
  },
};
