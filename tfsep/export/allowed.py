"""The operations that a served graph may have, by name: those that only compute.

Whatever is not here is refused, so that an operation that reads files, calls Python, prints, keeps
state or asks for a compiler cannot get into an export by not having been thought of.
"""

from __future__ import annotations

#: Structure: constants, functions, branches, loops, variables, checks and their text.
_STRUCTURE = """
Assert Const EnsureShape Identity IdentityN If NoOp PartitionedCall Placeholder PlaceholderWithDefault
PreventGradient ReadVariableOp StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile StopGradient
StringFormat StringJoin VarHandleOp While
"""
#: Lists of tensors, of which loops and their gradients make use.
_LISTS = """
EmptyTensorList TensorListConcat TensorListConcatLists TensorListConcatV2 TensorListElementShape
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
TensorListPushBackBatch TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList
TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
"""
#: Shapes, slices and places.
_SHAPES = """
BatchToSpace BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2
ConjugateTranspose DepthToSpace Diag DiagPart DynamicPartition DynamicStitch ExpandDims Fill Gather GatherNd
GatherV2 InvertPermutation LinSpace ListDiff LowerBound MirrorPad MirrorPadGrad OneHot OnesLike Pack Pad PadV2
ParallelDynamicStitch Range Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size
Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad
TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate
Tile TileGrad Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where
ZerosLike
"""
#: Elementwise maths.
_ELEMENTWISE_MATHS = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh BesselI0
BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Betainc
Bitcast BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Dawsn
Digamma Div DivNoNan Elu EluGrad Equal Erf Erfc Erfinv Exp Expint Expm1 Floor FloorDiv FloorMod FresnelCos
FresnelSin Greater GreaterEqual Igamma IgammaGradA Igammac Imag Inv InvGrad Invert IsFinite IsInf IsNan
LeakyRelu LeakyReluGrad LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum
Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma PopulationCount Pow Real RealDiv Reciprocal
ReciprocalGrad Relu Relu6 Relu6Grad ReluGrad RightShift Rint Round Rsqrt RsqrtGrad Select SelectV2 Selu SeluGrad
Sigmoid SigmoidGrad Sign Sin Sinh Softplus SoftplusGrad Softsign SoftsignGrad Spence Sqrt SqrtGrad Square
SquaredDifference Sub Tan Tanh TanhGrad TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta
"""
#: Reductions, scans, orders and segments.
_REDUCTIONS = """
All Any ArgMax ArgMin Bincount Cumprod Cumsum CumulativeLogsumexp DenseBincount EuclideanNorm
HistogramFixedWidth InTopK InTopKV2 L2Loss LogSoftmax Max Mean Min NthElement Prod SegmentMax SegmentMaxV2
SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Softmax
SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits Sum TopK TopKV2 UnsortedSegmentMax
UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
"""
#: Linear algebra.
_LINEAR_ALGEBRA = """
BandedTriangularSolve BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky CholeskyGrad Cross Eig Einsum
LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2
MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag
MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr
SelfAdjointEig SelfAdjointEigV2 SparseMatMul Svd TridiagonalMatMul TridiagonalSolve
"""
#: Fourier transforms.
_FOURIER_TRANSFORMS = """
FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND RFFT RFFT2D RFFT3D RFFTND
"""
#: Networks: convolutions, pools, norms, sizes of pictures.
_NETWORKS = """
AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad BiasAddV1 Conv Conv2D Conv2DBackpropFilter
Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilterV2
Conv3DBackpropInputV2 DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter
DepthwiseConv2dNativeBackpropInput Dilation2D Dilation2DBackpropFilter Dilation2DBackpropInput
ExtractImagePatches ExtractVolumePatches FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2
FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 LRN LRNGrad MaxPool MaxPool3D MaxPool3DGrad
MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2
MaxPoolWithArgmax ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad
ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate ScaleAndTranslateGrad
"""
#: Random numbers that depend on their seed alone.
_RANDOM_NUMBERS = """
RandomGammaGrad StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial
StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetKeyCounter StatelessRandomNormal
StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformFullInt
StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
"""

#: Names of operations, as TensorFlow registers them.
ALLOWED = frozenset(
    " ".join(
        (
            _STRUCTURE,
            _LISTS,
            _SHAPES,
            _ELEMENTWISE_MATHS,
            _REDUCTIONS,
            _LINEAR_ALGEBRA,
            _FOURIER_TRANSFORMS,
            _NETWORKS,
            _RANDOM_NUMBERS,
        )
    ).split()
)
