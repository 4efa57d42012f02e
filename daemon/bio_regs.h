/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bio_regs.h - the registers of bio, a block device for small guests
 *
 * 0x00 to 0x17 are those of ducky's BlockIO, with its values; what ducky left
 * open or got wrong is decided in Documentation/portal/bio.rst. All registers
 * have 32 bits, little endian; a write of another width or offset is ignored.
 */
#ifndef PORTALD_BIO_REGS_H
#define PORTALD_BIO_REGS_H

#define BIO_REGION_LEN		0x80

/* Attributes are those of portal.h; why, is in bio.rst. */
#define BIO_STATUS		0x00	/* rw, SYNC */
#define BIO_SID			0x04	/* w: select a storage; reads 0, as to 0x10 */
#define BIO_BLOCK		0x08	/* w: first block */
#define BIO_COUNT		0x0c	/* w: number of blocks */
#define BIO_ADDR		0x10	/* w: guest-physical address of the buffer */
#define BIO_DATA		0x14	/* rw, CALL: the next word of the buffer */

#define BIO_ID			0x18	/* r: BIO_ID_VALUE */
#define BIO_VERSION		0x1c	/* r: major << 16 | minor */
#define BIO_FEATURES		0x20	/* r, FENCED: BIO_F_*, of the selected storage */
#define BIO_BLOCK_SIZE		0x24	/* r: bytes of a block */
#define BIO_CAPACITY		0x28	/* r, FENCED: blocks of the storage, low half */
#define BIO_CAPACITY_HI		0x2c	/* r, FENCED */
#define BIO_ERROR		0x30	/* r, FENCED: enum bio_error, why ERR is set */
#define BIO_CUR_SID		0x34	/* r, FENCED: selected, all ones none */
#define BIO_EVENTS		0x38	/* r; w clears the bits written, in the kernel */
#define BIO_CONTROL		0x3c	/* rw, FENCED: BIO_CTL_* */
#define BIO_BLOCK_HI		0x40	/* w: bits 63:32 of BLOCK; 0 after SRST */
#define BIO_ADDR_HI		0x44	/* w: of ADDR; 0 after SRST */
#define BIO_COMMAND		0x48	/* w, SYNC: BIO_CMD_* */
#define BIO_MAX_PIO		0x4c	/* r: most bytes of a command without DMA */
#define BIO_MAX_DMA		0x50	/* r: with DMA */
#define BIO_REMAIN		0x54	/* r, FENCED: bytes that DATA still takes or gives */

#define BIO_ID_VALUE		0x314f4942U	/* "BIO1" */
#define BIO_VERSION_VALUE	0x00010000U
#define BIO_NO_SID		0xffffffffU

/* STATUS; the guest may write those of BIO_USER. */
#define BIO_RDY			0x01U
#define BIO_ERR			0x02U
#define BIO_READ		0x04U
#define BIO_WRITE		0x08U
#define BIO_BUSY		0x10U
#define BIO_DMA			0x20U
#define BIO_SRST		0x40U
#define BIO_USER		(BIO_READ | BIO_WRITE | BIO_DMA | BIO_SRST)

/* EVENTS */
#define BIO_EV_DONE		0x01U	/* a command ended */
#define BIO_EV_IGNORED		0x02U	/* a write came while BUSY, and was lost */
#define BIO_EV_RESIZED		0x04U	/* a storage has another capacity */

/* CONTROL, 0 after SRST */
#define BIO_CTL_MASK		0x01U	/* no interrupts */
#define BIO_CTL_WRITEBACK	0x02U	/* a WRITE may end before it is stable */
#define BIO_CTL_ALL		0x03U

/* COMMAND */
#define BIO_CMD_FLUSH		0x01U	/* ends when earlier WRITEs are stable */

/* FEATURES */
#define BIO_F_WRITABLE		0x01U
#define BIO_F_FLUSH		0x02U	/* the storage has a cache to flush */
#define BIO_F_IRQ		0x04U	/* the interrupt is connected */

/* ERROR */
enum bio_error {
	BIO_E_NONE = 0,
	BIO_E_SID = 1,		/* no such storage, or none selected */
	BIO_E_RANGE = 2,	/* beyond the end of the storage */
	BIO_E_ADDR = 3,		/* the buffer is not in RAM */
	BIO_E_SIZE = 4,		/* more bytes than BIO_MAX_PIO or BIO_MAX_DMA */
	BIO_E_DATA = 5,		/* DATA with nothing to give or take */
	BIO_E_READONLY = 6,
	BIO_E_IO = 7,
	BIO_E_NOSPC = 8,
	BIO_E_TIMEOUT = 9,
	BIO_E_COMMAND = 10,	/* unknown COMMAND */
};

#endif /* PORTALD_BIO_REGS_H */
