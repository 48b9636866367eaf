//go:build amd64 && !purego

#include "textflag.h"

// func compressVBMI2(dst, src *byte, n int, drop *uint64) (words, written int)
TEXT ·compressVBMI2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ drop+24(FP), R8
	MOVQ DI, R9
	MOVQ CX, R10

	MOVQ $0x2222222222222222, AX // a quote
	VPBROADCASTQ AX, Z0
	MOVQ $0x5c5c5c5c5c5c5c5c, AX // a backslash
	VPBROADCASTQ AX, Z1

loop:
	VMOVDQU64 (SI), Z2
	VMOVDQU64 1(SI), Z3
	MOVQ (R8), AX

	// Which bytes come before a quote or a backslash.
	VPCMPEQB Z0, Z3, K1
	VPCMPEQB Z1, Z3, K2
	KORQ K1, K2, K1
	KMOVQ K1, BX
	NOTQ BX
	TESTQ AX, BX
	JNZ done

	NOTQ AX
	KMOVQ AX, K3
	VPCOMPRESSB.Z Z2, K3, Z4
	VMOVDQU64 Z4, (DI)
	POPCNTQ AX, AX
	ADDQ AX, DI

	ADDQ $64, SI
	ADDQ $8, R8
	DECQ CX
	JNZ loop

done:
	VZEROUPPER
	SUBQ CX, R10
	MOVQ R10, words+32(FP)
	SUBQ R9, DI
	MOVQ DI, written+40(FP)
	RET
